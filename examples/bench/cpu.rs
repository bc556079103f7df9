//! CPU time of the parts, in seconds, from /proc.

use std::fs;
use std::path::Path;

use crate::support::Failure;

/// What each part has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    pub worker: f64,
    pub postgres: f64,
    pub kafka: f64,
    /// This program.
    pub reader: f64,
}

impl Cpu {
    /// `worker` is 0 before it has been started.
    pub fn sample(stack_dir: &Path, worker: Option<u32>) -> Result<Cpu, Failure> {
        let pid_of = |part: &str| -> Result<u32, Failure> {
            let path = stack_dir.join(format!("{part}.pid"));
            let text =
                fs::read_to_string(&path).map_err(|error| format!("{} can't be read: {error}", path.display()))?;
            Ok(text.trim().parse()?)
        };
        Ok(Cpu {
            worker: worker.map_or(0.0, |pid| of_process(pid).map_or(0.0, |stat| stat.own)),
            postgres: of_family(pid_of("postgres")?),
            kafka: of_family(pid_of("kafka")?),
            reader: of_process(std::process::id()).map_or(0.0, |stat| stat.own),
        })
    }

    pub fn since(self, before: Cpu) -> Cpu {
        Cpu {
            worker: self.worker - before.worker,
            postgres: self.postgres - before.postgres,
            kafka: self.kafka - before.kafka,
            reader: self.reader - before.reader,
        }
    }
}

struct Stat {
    parent: u32,
    own: f64,
    /// Of children that have ended and been waited for.
    ended_children: f64,
}

/// Of a process and its children, also those that have ended.
fn of_family(pid: u32) -> f64 {
    let Some(stat) = of_process(pid) else { return 0.0 };
    let children: f64 = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(of_process)
        .filter(|child| child.parent == pid)
        .map(|child| child.own)
        .sum();
    stat.own + stat.ended_children + children
}

fn of_process(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    // Linux counts in hundredths of a second here, whatever its own clock does.
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / 100.0,
        ended_children: (ticks(13)? + ticks(14)?) / 100.0,
    })
}
