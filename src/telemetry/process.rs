//! The process's own memory and processor time, from Linux' /proc. On another system they are absent.

use std::fmt::Write;

use super::metrics_table::{Kind, METRICS};

/// Appends the metrics that are read from the operating system.
pub fn render(text: &mut String) {
    for metric in METRICS.iter().filter(|metric| matches!(metric.kind, Kind::Process)) {
        let (kind, value) =
            if metric.name.ends_with("_total") { ("counter", cpu_seconds()) } else { ("gauge", resident_bytes()) };
        if let Some(value) = value {
            let name = metric.name;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n", metric.help);
        }
    }
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn cpu_seconds() -> Option<f64> {
    /// Of the clock that /proc counts in: 100 a second on every architecture that this runs on, whatever the kernel's own is.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything; utime and stime are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let user: f64 = fields.get(11)?.parse().ok()?;
    let system: f64 = fields.get(12)?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}
