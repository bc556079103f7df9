//! The faults: how each begins, how long it holds, and how it ends.

use nix::sys::signal::Signal;

use super::scene::Scene;
use crate::load::rng::Rng;
use crate::support::wire::Way;

#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    WorkerKilled { number: usize },
    AllWorkersKilled,
    WorkerFrozen { number: usize, ms: u64 },
    WorkersRolled,
    PartKilled { part: &'static str, ms: u64 },
    PartStopped { part: &'static str, ms: u64 },
    PartFrozen { part: &'static str, ms: u64 },
    ConnectionsCut,
    LaneLocked { lane: usize, ms: u64 },
    AllLanesLocked { ms: u64 },
    ReadOnly { ms: u64 },
    DiskFull { ms: u64 },
    RegistryHeld { ms: u64 },
    RegistryAnswers { status: u16, ms: u64 },
    LeadersMoved,
    WireStalled { way: Way, ms: u64 },
    WireCut { ms: u64 },
}

const BROKERS: [&str; 3] = ["kafka", "kafka-2", "kafka-3"];

impl Fault {
    /// One, or two at once that do not concern the same part.
    pub fn pick(rng: &mut Rng, is_cluster: bool) -> Vec<Fault> {
        let first = Fault::one(rng, is_cluster);
        let second = if rng.permille(250) { Some(Fault::one(rng, is_cluster)) } else { None };
        let second = second.filter(|second| second.part() != first.part());
        std::iter::once(first).chain(second).collect()
    }

    pub fn a_broker_killed() -> Fault {
        Fault::PartKilled { part: BROKERS[1], ms: 10_000 }
    }

    fn one(rng: &mut Rng, is_cluster: bool) -> Fault {
        let number = rng.below(3);
        let ms = 500 + rng.below(8_500) as u64;
        let broker = if is_cluster { *rng.pick(&BROKERS) } else { "kafka" };
        match rng.below(18) {
            0 | 1 => Fault::WorkerKilled { number },
            2 => Fault::AllWorkersKilled,
            3 => Fault::WorkerFrozen { number, ms: 2 * ms },
            4 => Fault::WorkersRolled,
            5 => Fault::PartKilled { part: "postgres", ms },
            6 => Fault::PartFrozen { part: "postgres", ms },
            7 => Fault::PartStopped { part: "postgres", ms },
            // A single broker that is killed or stopped in the middle of a commit may forget it, which docs/guarantees.md excludes: so
            // that one is only frozen.
            8 if is_cluster => Fault::PartKilled { part: broker, ms: ms + 5_000 },
            8 | 9 if is_cluster => Fault::PartStopped { part: broker, ms },
            8..=10 => Fault::PartFrozen { part: broker, ms },
            11 => Fault::ConnectionsCut,
            12 if rng.permille(500) => Fault::AllLanesLocked { ms },
            12 => Fault::LaneLocked { lane: rng.below(4), ms: 2 * ms },
            13 => Fault::ReadOnly { ms },
            15 => Fault::DiskFull { ms },
            16 if is_cluster => Fault::LeadersMoved,
            16 => Fault::RegistryHeld { ms: 2 * ms },
            17 => Fault::RegistryAnswers { status: *rng.pick(&[404, 500]), ms },
            14 => {
                let way = *rng.pick(&[Way::ToServer, Way::ToClient]);
                Fault::WireStalled { way, ms }
            }
            _ if rng.permille(500) => Fault::WireCut { ms },
            _ => Fault::PartKilled { part: "registry", ms },
        }
    }

    /// What it takes away: two of one part at once would only undo each other.
    fn part(&self) -> &'static str {
        match self {
            Fault::WorkerKilled { .. }
            | Fault::AllWorkersKilled
            | Fault::WorkerFrozen { .. }
            | Fault::WorkersRolled => "worker",
            Fault::PartKilled { part, .. } | Fault::PartStopped { part, .. } | Fault::PartFrozen { part, .. } => {
                if BROKERS.contains(part) {
                    "kafka"
                } else {
                    part
                }
            }
            Fault::ConnectionsCut
            | Fault::LaneLocked { .. }
            | Fault::AllLanesLocked { .. }
            | Fault::ReadOnly { .. }
            | Fault::DiskFull { .. } => "postgres",
            Fault::RegistryHeld { .. } | Fault::RegistryAnswers { .. } => "registry",
            Fault::LeadersMoved => "kafka",
            Fault::WireStalled { .. } | Fault::WireCut { .. } => "postgres",
        }
    }

    pub fn takes_a_broker(&self) -> bool {
        self.part() == "kafka"
    }

    pub fn name(&self) -> String {
        let (what, which) = match self {
            Fault::WorkerKilled { .. } => ("a worker killed", ""),
            Fault::AllWorkersKilled => ("all workers killed", ""),
            Fault::WorkerFrozen { .. } => ("a worker frozen", ""),
            Fault::WorkersRolled => ("workers stopped and started in turn", ""),
            Fault::PartKilled { part, .. } => ("killed", family(part)),
            Fault::PartStopped { part, .. } => ("stopped", family(part)),
            Fault::PartFrozen { part, .. } => ("frozen", family(part)),
            Fault::ConnectionsCut => ("all sessions of Postgres ended", ""),
            Fault::LaneLocked { .. } => ("a lane's row locked", ""),
            Fault::AllLanesLocked { .. } => ("all lanes' rows locked", ""),
            Fault::ReadOnly { .. } => ("Postgres read-only", ""),
            Fault::DiskFull { .. } => ("Postgres' disk full", ""),
            Fault::RegistryHeld { .. } => ("the registry does not answer", ""),
            Fault::RegistryAnswers { status: 404, .. } => ("the registry answers 404", ""),
            Fault::RegistryAnswers { .. } => ("the registry answers 500", ""),
            Fault::LeadersMoved => ("leaders and coordinators moved", ""),
            Fault::WireStalled { way: Way::ToServer, .. } => ("nothing reaches Postgres", ""),
            Fault::WireStalled { way: Way::ToClient, .. } => ("nothing comes back from Postgres", ""),
            Fault::WireCut { .. } => ("Postgres cut off", ""),
        };
        format!("{which}{}{what}", if which.is_empty() { "" } else { " " })
    }

    pub fn holds_ms(&self, rng: &mut Rng) -> u64 {
        match *self {
            Fault::WorkerFrozen { ms, .. }
            | Fault::PartKilled { ms, .. }
            | Fault::PartStopped { ms, .. }
            | Fault::PartFrozen { ms, .. }
            | Fault::LaneLocked { ms, .. }
            | Fault::AllLanesLocked { ms }
            | Fault::ReadOnly { ms }
            | Fault::DiskFull { ms }
            | Fault::RegistryHeld { ms }
            | Fault::RegistryAnswers { ms, .. }
            | Fault::WireStalled { ms, .. }
            | Fault::WireCut { ms } => ms,
            // Until the process manager starts it again.
            Fault::WorkerKilled { .. } | Fault::AllWorkersKilled => rng.below(3_000) as u64,
            Fault::WorkersRolled | Fault::ConnectionsCut | Fault::LeadersMoved => 0,
        }
    }

    pub fn begin(&self, scene: &mut Scene<'_>) {
        let database = scene.installation().database.clone();
        match self {
            Fault::WorkerKilled { number } => scene.kill(number % scene.workers()),
            Fault::AllWorkersKilled => (0..scene.workers()).for_each(|number| scene.kill(number)),
            Fault::WorkerFrozen { number, .. } => scene.signal(number % scene.workers(), Signal::SIGSTOP),
            Fault::WorkersRolled => {
                for number in 0..scene.workers() {
                    scene.stop_one(number);
                    scene.start(number);
                }
            }
            Fault::PartKilled { part, .. } => scene.stack.kill(part),
            Fault::PartStopped { part, .. } => scene.stack.stop(part),
            Fault::PartFrozen { part, .. } => scene.stack.freeze(part),
            Fault::ConnectionsCut => end_sessions(scene, &database),
            Fault::LaneLocked { lane, .. } => {
                lock(scene, &format!("select from lane where lane = {} for update", *lane as i32 % scene.lanes()));
            }
            Fault::AllLanesLocked { .. } => lock(scene, "lock table lane in exclusive mode"),
            Fault::ReadOnly { .. } => {
                let server = scene.installation().server();
                server.execute(&format!("alter database \"{database}\" set default_transaction_read_only = on"));
                end_sessions(scene, &database);
            }
            Fault::DiskFull { .. } => scene.installation().database().execute(DISK_FULL),
            Fault::RegistryHeld { .. } => scene.registry.hold(),
            Fault::RegistryAnswers { status, .. } => scene.registry.answer("/", *status, ""),
            Fault::LeadersMoved => scene.stack.move_leaders(),
            Fault::WireStalled { way, .. } => scene.wire.stall(*way),
            Fault::WireCut { .. } => scene.wire.cut(),
        }
    }

    /// Ends the fault; what it ended by itself is started again.
    pub fn end(&self, scene: &mut Scene<'_>) {
        match self {
            Fault::WorkerFrozen { number, .. } => scene.signal(number % scene.workers(), Signal::SIGCONT),
            Fault::PartKilled { part, .. } | Fault::PartStopped { part, .. } => scene.stack.start(part),
            Fault::PartFrozen { part, .. } => scene.stack.thaw(part),
            Fault::LaneLocked { .. } | Fault::AllLanesLocked { .. } => scene.strangers.clear(),
            Fault::ReadOnly { .. } => {
                let database = scene.installation().database.clone();
                let server = scene.installation().server();
                server.execute(&format!("alter database \"{database}\" reset default_transaction_read_only"));
                end_sessions(scene, &database);
            }
            Fault::DiskFull { .. } => scene.installation().database().execute(DISK_HAS_ROOM),
            Fault::RegistryHeld { .. } | Fault::RegistryAnswers { .. } => scene.registry.let_go(),
            Fault::WireStalled { .. } | Fault::WireCut { .. } => scene.wire.let_go(),
            Fault::WorkerKilled { .. }
            | Fault::AllWorkersKilled
            | Fault::WorkersRolled
            | Fault::ConnectionsCut
            | Fault::LeadersMoved => {}
        }
        scene.revive();
    }
}

/// The error that Postgres returns where a table can't grow; a disk that is full takes rights that a test does not have.
const DISK_FULL: &str = "\
    create function disk_full() returns trigger language plpgsql as \
    $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$; \
    create trigger disk_full before insert on outbox for each row execute function disk_full()";
const DISK_HAS_ROOM: &str = "drop trigger disk_full on outbox; drop function disk_full()";

fn family(part: &str) -> &str {
    if BROKERS.contains(&part) { "a broker" } else { part }
}

fn end_sessions(scene: &Scene<'_>, database: &str) {
    scene.installation().server().execute(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}' and pid <> pg_backend_pid()"
    ));
}

/// By a transaction of somebody who has forgotten it.
fn lock(scene: &mut Scene<'_>, statement: &str) {
    let stranger = scene.installation().database();
    stranger.execute(&format!("begin; set local idle_in_transaction_session_timeout = 0; {statement}"));
    scene.strangers.push(stranger);
}
