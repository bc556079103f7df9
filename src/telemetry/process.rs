//! The process's own memory and processor time, from Linux' /proc. On another system they are absent.

use std::fmt::Write;

use super::metrics_table::{Kind, METRICS};

/// Appends the metrics that are read from the operating system.
pub fn render(text: &mut String) {
    for metric in METRICS.iter().filter(|metric| matches!(metric.kind, Kind::Process)) {
        let (kind, value) = match metric.name {
            "process_cpu_seconds_total" => ("counter", cpu_seconds()),
            "process_start_time_seconds" => ("gauge", start_time()),
            "process_open_fds" => ("gauge", open_files()),
            _ => ("gauge", resident_bytes()),
        };
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

/// Of the clock that /proc counts in: 100 a second on every architecture that this runs on, whatever the kernel's own is.
const TICKS_PER_SECOND: f64 = 100.0;

fn open_files() -> Option<f64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

/// The 20th field after the name counts from the machine's start, whose time /proc/stat has.
fn start_time() -> Option<f64> {
    let booted = std::fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = booted.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: f64 = fields.split(' ').nth(19)?.parse().ok()?;
    Some(booted + ticks / TICKS_PER_SECOND)
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything; utime and stime are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let user: f64 = fields.get(11)?.parse().ok()?;
    let system: f64 = fields.get(12)?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}
