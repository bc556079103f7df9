//! Logs: to standard error, as text for people or one JSON object per line. At info stands what an operator acts on. Merchants,
//! lanes, positions and codes may be logged; names, phones, e-mail addresses, identifiers and payloads never are, at no level.

use std::fmt;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_log::NormalizeEvent;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogSettings;

/// Begins to log. Called once; a later call changes nothing.
pub fn install(settings: &LogSettings) {
    // apache-avro's warnings about our own schemas need no action; the pool's warnings are in our own errors, with their cause.
    let directives = format!("apache_avro=error,deadpool=off,{}", settings.filter);
    // The settings were checked when they were loaded.
    let filter = EnvFilter::builder().parse_lossy(directives);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    AS_JSON.store(settings.json, Ordering::Relaxed);
    let installed = if settings.json {
        builder.with_ansi(false).event_format(JsonLines).finish().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init()
    };
    if installed.is_err() {
        tracing::debug!("logging was already set up");
    }
}

/// Why the program ends, to standard error, in the form that its log has.
pub fn last_words(text: &str) {
    if AS_JSON.load(Ordering::Relaxed) {
        let line = json!({ "timestamp": timestamp(), "level": "ERROR", "message": text, "target": "loyalty_worker" });
        eprintln!("{line}");
    } else {
        eprintln!("loyalty-worker: {text}");
    }
}

static AS_JSON: AtomicBool = AtomicBool::new(false);

fn timestamp() -> String {
    jiff::Timestamp::now().round(jiff::Unit::Microsecond).unwrap_or_default().to_string()
}

/// One JSON object per line: the event's fields, its time, level, message and target. Lists and objects stay lists and objects.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // What comes by the log crate has its real target among the fields.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), timestamp().into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        event.record(&mut Fields(&mut line));
        line.insert("target".to_owned(), metadata.target().into());
        writeln!(writer, "{}", Value::Object(line))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        if !field.name().starts_with("log.") {
            self.0.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let nested = text.starts_with(['[', '{']).then(|| serde_json::from_str(&text).ok()).flatten();
        self.put(field, nested.unwrap_or_else(|| text.into()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_with_lists_and_objects_in_it() {
        let lines = Lines::default();
        let written = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || written.clone()).event_format(JsonLines).finish();
        tracing::subscriber::with_default(subscriber, || {
            let frontier = std::collections::BTreeMap::from([("credit", 5)]);
            tracing::info!(lane = 3, lanes = ?[0, 1], ?frontier, seconds = 1.5, who = "ada", "a \"line\"\nof two");
        });
        let text = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["lanes"], json!([0, 1]));
        assert_eq!(line["frontier"], json!({ "credit": 5 }));
        assert_eq!((&line["lane"], &line["seconds"], &line["who"]), (&json!(3), &json!(1.5), &json!("ada")));
        assert_eq!((&line["level"], &line["message"]), (&json!("INFO"), &json!("a \"line\"\nof two")));
        assert!(line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
    }
}
