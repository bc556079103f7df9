//! Logs: to standard error, as text for people or one JSON object per line. At info stands what an operator acts on. Merchants,
//! lanes, positions and codes may be logged; names, phones, e-mail addresses, identifiers and payloads never are, at no level.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogSettings;

/// Begins to log. Called once; a later call changes nothing.
pub fn install(settings: &LogSettings) {
    // What apache-avro says of the shape of our own schemas, nobody can act on.
    let directives = format!("apache_avro=error,{}", settings.filter);
    // The settings were checked when they were loaded.
    let filter = EnvFilter::builder().parse_lossy(directives);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if settings.json {
        builder.json().flatten_event(true).with_current_span(false).finish().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init()
    };
    if installed.is_err() {
        tracing::debug!("logging was already set up");
    }
}
