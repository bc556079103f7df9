//! How connections are made: what every session of the worker has set.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType};
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

use super::{StoreError, StoreErrorKind};
use crate::config::PostgresSettings;

/// Set by each session for itself, whatever the server's own settings are.
const SESSION: [(&str, &str); 16] = [
    // A worker that hangs or lost its power must not hold its lane row: the server notices a dead peer in about 11 seconds, and a
    // transaction that nobody goes on with after 15. Between two statements a batch is only folded and encoded.
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "11s"),
    // The largest batch takes as long as it takes; a batch that is cut off would come again.
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    // Arrays are of unknown length to a generic plan, which is right: it is made once, for any length.
    ("plan_cache_mode", "force_generic_plan"),
    // All statements look rows up by key. While a table is new, its statistics say that it is small, and a plan that scans it would stay
    // until autovacuum comes by, hundreds of thousands of rows later.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // Every key of a batch comes once: there is nothing to remember or to keep.
    ("enable_memoize", "off"),
    ("enable_material", "off"),
    // Compiling costs more than any of the statements.
    ("jit", "off"),
    ("default_transaction_isolation", "read\\ committed"),
    ("client_min_messages", "warning"),
];

/// After this long without an answer to what was sent, the connection is dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection of the pool.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens no connection yet.
pub(super) fn pool(settings: &PostgresSettings) -> Result<Pool, StoreError> {
    let config = config(&settings.url)?;
    // A connection that was given back is in order: lanes never give back one with an open transaction.
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, NoTls, manager_config);
    let pool = Pool::builder(manager)
        .max_size(settings.pool_size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(POOL_TIMEOUT))
        .create_timeout(Some(POOL_TIMEOUT))
        .build();
    pool.map_err(|error| StoreError::new(StoreErrorKind::Fatal, format!("the connection pool can't be built: {error}")))
}

pub(super) fn pool_error(error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => {
            let error = StoreError::from(error);
            StoreError::new(error.kind, format!("{} (connecting as the setting postgres.url says)", error.message))
        }
        PoolError::Timeout(TimeoutType::Wait) => StoreError::new(
            StoreErrorKind::Transient,
            "all Postgres connections are in use: postgres.pool_size must be greater than the number of lanes",
        ),
        other => StoreError::new(StoreErrorKind::Transient, format!("no connection to Postgres: {other}")),
    }
}

fn config(url: &str) -> Result<tokio_postgres::Config, StoreError> {
    let fatal = |message: &str| StoreError::new(StoreErrorKind::Fatal, message);
    let no_tls = "postgres.url asks for TLS, which this version does not speak: use sslmode=disable or sslmode=prefer, over a network \
                  that is trusted or a proxy on the same host that adds TLS";
    let parsed = url.parse::<tokio_postgres::Config>();
    // The parser's own message may repeat parts of the url, and so of the password.
    let mut config = parsed.map_err(|_| {
        let known_modes = ["sslmode=disable", "sslmode=prefer"];
        let asks_for_tls = url.contains("sslmode=") && !known_modes.iter().any(|mode| url.contains(mode));
        fatal(if asks_for_tls {
            no_tls
        } else {
            "postgres.url is not of the form postgres://user:password@host:port/database"
        })
    })?;
    if !matches!(config.get_ssl_mode(), SslMode::Disable | SslMode::Prefer) {
        return Err(fatal(no_tls));
    }
    let own_options = config.get_options().unwrap_or_default().to_owned();
    let session: String = SESSION.iter().map(|(name, value)| format!(" -c {name}={value}")).collect();
    config.options(format!("{own_options}{session}"));
    if config.get_application_name().is_none() {
        config.application_name("loyalty-worker");
    }
    config
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_connected_to_is_refused_without_the_password() {
        for (url, part) in [
            ("postgres://worker:secret@db/loyalty?sslmode=require", "TLS"),
            ("postgres://worker:secret@db/loyalty?sslmode=verify-full", "TLS"),
            ("postgres//worker:secret@db/loyalty", "postgres.url is not"),
            ("worker:secret@db=x", "postgres.url is not"),
        ] {
            let error = config(url).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Fatal);
            assert!(error.message.contains(part), "{url}: {error}");
            assert!(!error.message.contains("secret"), "{url}: {error}");
        }
        assert!(config("postgres://worker:secret@db/loyalty?sslmode=prefer").is_ok());
    }

    #[test]
    fn options_of_the_url_are_kept() {
        let config = config("postgres://db/loyalty?options=-c%20search_path%3Dloyalty").unwrap();
        let options = config.get_options().unwrap();
        assert!(options.starts_with("-c search_path=loyalty -c idle_in_transaction_session_timeout=15s"), "{options}");
    }
}
