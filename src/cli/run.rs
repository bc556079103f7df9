//! `run`.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::CliError;
use crate::config::Settings;
use crate::domain::RULES_VERSION;
use crate::telemetry::http::Server;
use crate::telemetry::{Health, metrics};
use crate::worker;

#[derive(Args)]
#[command(
    long_about = "Joins the group, takes the lanes that it is given, applies their commands and publishes the results, until it is told \
                  to stop. Several may run: the lanes spread over them, and the lanes of one that dies are taken over within seconds.\n\n\
                  SIGTERM or Ctrl-C: the batch in hand is finished and published, the lanes are given up, exit code 0. A second one, a second \
                  later or more, ends it at once, which loses nothing either.",
    after_help = "It refuses to start when the database is not migrated (`migrate`), or when a topic is missing or could lose \
                  commands (`topics check`). It listens on http.listen: /metrics, /live, /ready."
)]
pub struct Options {}

pub async fn run(_options: Options, settings: Settings) -> Result<(), CliError> {
    let metrics = metrics::install();
    let health = Health::new();
    let server = Server::bind(&settings.http.listen, metrics, health.clone()).map_err(CliError::failed)?;
    let address = server.address().map_or_else(|| settings.http.listen.clone(), |address| address.to_string());
    let (stop, stopped) = watch::channel(());
    tokio::spawn(until_signal(stop)?);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        rules_version = RULES_VERSION,
        group = settings.kafka.group,
        client_id = settings.kafka.client_id,
        http = address,
        "worker starts"
    );
    server.start().map_err(|error| CliError::Failed(format!("http.listen: its thread cannot be started: {error}")))?;
    worker::run(settings, health, closed(stopped)).await.map_err(CliError::failed)
}

/// Resolves once the sender is gone.
async fn closed(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// A signal that is repeated within this is the same order.
const SAME_ORDER: Duration = Duration::from_secs(1);

/// Drops `stop` at the first signal; ends the process at a later one.
fn until_signal(stop: watch::Sender<()>) -> Result<impl Future<Output = ()>, CliError> {
    let signals =
        signal(SignalKind::terminate()).and_then(|terminate| Ok((terminate, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) =
        signals.map_err(|error| CliError::Failed(format!("signals cannot be taken: {error}")))?;
    Ok(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!(signal = name, "worker stops: it finishes the batches in hand");
        drop(stop);
        let first = Instant::now();
        // A process manager may send its signal twice, to the process and to its group.
        while next().await == name && first.elapsed() < SAME_ORDER {}
        tracing::warn!("ended at once by a second signal; the next owner settles what was under way");
        std::process::exit(1);
    })
}
