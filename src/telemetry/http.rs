//! Serves /metrics, /live and /ready.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::health::Health;
use super::metrics::Metrics;

/// A server that has its port and does not answer yet.
pub struct Server {
    listener: std::net::TcpListener,
    metrics: Metrics,
    health: Health,
}

#[derive(Debug, thiserror::Error)]
#[error("http.listen: cannot listen on {address}: {error}")]
pub struct ListenError {
    address: String,
    error: std::io::Error,
}

impl Server {
    /// Takes the port, so that a port in use stops the start and not a task in the background.
    pub fn bind(address: &str, metrics: Metrics, health: Health) -> Result<Server, ListenError> {
        let listener = std::net::TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Server { listener, metrics, health }),
            Err(error) => Err(ListenError { address: address.to_owned(), error }),
        }
    }

    /// Where it listens; the port that was taken, if the settings ask for any.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers until the process ends, on a thread of its own: a worker whose threads are busy can still be asked how it is.
    pub fn start(self) -> std::io::Result<()> {
        std::thread::Builder::new().name("http".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let served = runtime.and_then(|runtime| runtime.block_on(self.serve()));
            if let Err(error) = served {
                tracing::error!(%error, "/metrics, /live and /ready are not served any longer");
            }
        })?;
        Ok(())
    }

    async fn serve(self) -> std::io::Result<()> {
        tokio::spawn(keep_up(self.metrics.clone()));
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/live", get(live))
            .route("/ready", get(ready))
            .with_state((self.metrics, self.health));
        axum::serve(TcpListener::from_std(self.listener)?, routes).await
    }
}

/// Histograms keep every sample until they are folded, also while nobody asks for the metrics.
async fn keep_up(metrics: Metrics) {
    let mut interval = tokio::time::interval(Duration::from_secs(5));
    loop {
        interval.tick().await;
        metrics.upkeep();
    }
}

type Shared = State<(Metrics, Health)>;

async fn metrics(State((metrics, _)): Shared) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

async fn live(State((_, health)): Shared) -> impl IntoResponse {
    answer(health.live())
}

async fn ready(State((_, health)): Shared) -> impl IntoResponse {
    answer(health.ready())
}

fn answer((good, body): (bool, serde_json::Value)) -> impl IntoResponse {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n"))
}
