//! Serves /metrics, /live and /ready.

use std::future::Future;
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
    listener: TcpListener,
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
    pub async fn bind(address: &str, metrics: Metrics, health: Health) -> Result<Server, ListenError> {
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Server { listener, metrics, health }),
            Err(error) => Err(ListenError { address: address.to_owned(), error }),
        }
    }

    /// Where it listens; the port that was taken, if the settings ask for any.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers until `shutdown`.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let upkeep = tokio::spawn(keep_up(self.metrics.clone()));
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/live", get(live))
            .route("/ready", get(ready))
            .with_state((self.metrics, self.health));
        let served = axum::serve(self.listener, routes).with_graceful_shutdown(shutdown).await;
        upkeep.abort();
        served
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
