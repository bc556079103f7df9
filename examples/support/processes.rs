//! Workers as child processes. However the parent ends, by its end, an error, a panic, Ctrl-C or SIGKILL, they end with it.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Failure;
use super::installation::Installation;

/// The kernel kills the child when the thread that started it ends, so start children from the main thread.
pub fn die_with_me(command: &mut Command) {
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
}

/// A running worker; killed when dropped.
pub struct Worker {
    child: Child,
    pub name: String,
    pub started: Instant,
}

impl Worker {
    /// `loyalty-worker run`, its log appended to `NAME.log` in the stack's folder.
    pub fn start(installation: &Installation, name: &str) -> Result<Worker, Failure> {
        let log = installation.stack.dir.join(format!("{name}.log"));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| format!("{} can't be written: {error}", log.display()))?;
        let started = Instant::now();
        let child = installation
            .command(&["run"])
            .env("LOYALTY_KAFKA__CLIENT_ID", name)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{} can't be started: {error}", installation.worker.display()))?;
        Ok(Worker { child, name: name.to_owned(), started })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended by itself.
    pub fn check(&mut self, log_folder: &Path) -> Result<(), Failure> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!(
                "{} has ended by itself with {status}; its last words are in {}",
                self.name,
                log_folder.join(format!("{}.log", self.name)).display()
            )
            .into()),
        }
    }

    /// SIGKILL, at once.
    pub fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and how long it took to end.
    pub fn terminate(mut self, patience: Duration) -> Result<(ExitStatus, Duration), Failure> {
        let begun = Instant::now();
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, begun.elapsed()));
            }
            if begun.elapsed() > patience {
                return Err(format!("{} did not end within {} s of SIGTERM", self.name, patience.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The signal that asked this process to end, if one has; the main thread looks at it wherever it waits.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// From now on SIGINT, SIGTERM and SIGHUP only ask. A second one ends the process, and with it its children, at once.
pub fn listen_for_signals() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(_entered);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                let number = tokio::select! {
                    _ = interrupt.recv() => 2,
                    _ = terminate.recv() => 15,
                    _ = hangup.recv() => 1,
                };
                if ASKED.swap(number, Ordering::SeqCst) != 0 {
                    std::process::exit(128 + number);
                }
            }
        });
    })?;
    Ok(())
}

/// Fails once a signal has asked to end.
pub fn check_signals() -> Result<(), Failure> {
    match ASKED.load(Ordering::SeqCst) {
        0 => Ok(()),
        number => Err(format!("stopped by signal {number}").into()),
    }
}

/// The exit code that says which signal it was, if it was one.
pub fn signal_exit_code() -> Option<u8> {
    match ASKED.load(Ordering::SeqCst) {
        0 => None,
        number => u8::try_from(128 + number).ok(),
    }
}
