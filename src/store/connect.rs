//! How connections are made: what every session of the worker has set.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType};
use tokio_postgres::Client;
use tokio_postgres::config::SslMode;

use super::{StoreError, StoreErrorKind};
use crate::config::PostgresSettings;
use crate::tls;

/// Set by each session for itself, whatever the server's own settings are.
const SESSION: [(&str, &str); 16] = [
    // A worker that hangs or lost its power must not hold its lane row: the server notices a dead peer in about 11 seconds, and a
    // transaction that nobody goes on with after 15. Between two statements a batch is only folded and encoded.
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "11s"),
    // A lane that waits for somebody else's lock recovers, so that it shows. A healthy batch's largest statement takes a second; one that is
    // cut off comes again.
    ("statement_timeout", "120s"),
    ("lock_timeout", "20s"),
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
    let mut config = config(settings)?;
    add_session(&mut config);
    // A connection that was given back is in order: lanes never give back one with an open transaction.
    let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, connector(settings)?, manager_config);
    let pool = Pool::builder(manager)
        .max_size(settings.pool_size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(POOL_TIMEOUT))
        .create_timeout(Some(POOL_TIMEOUT))
        .build();
    pool.map_err(|error| StoreError::new(StoreErrorKind::Fatal, format!("the connection pool can't be built: {error}")))
}

/// One connection, with nothing set in its session, for what is no lane's work. It ends with the client.
pub(super) async fn client(settings: &PostgresSettings) -> Result<Client, StoreError> {
    let refused = |error| connection_error(error, settings);
    let (client, connection) = config(settings)?.connect(connector(settings)?).await.map_err(refused)?;
    // What it has to say, the client's own calls say too.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

fn connector(settings: &PostgresSettings) -> Result<postgres_openssl::MakeTlsConnector, StoreError> {
    tls::postgres_connector(settings).map_err(|error| StoreError::new(StoreErrorKind::Fatal, error.to_string()))
}

/// What could not be connected to, with the settings that say where and how.
fn connection_error(error: tokio_postgres::Error, settings: &PostgresSettings) -> StoreError {
    let error = StoreError::from(error);
    let tls = if settings.verify_full { ", postgres.tls and postgres.tls_ca_file" } else { " and postgres.tls" };
    let message = format!(
        "{} (connecting to {} as the settings {}{tls} say)",
        error.message,
        address(settings),
        settings.setting()
    );
    StoreError::new(error.kind, message)
}

/// Hosts and ports, without anything that may be secret.
fn address(settings: &PostgresSettings) -> String {
    let Ok(config) = settings.url.parse::<tokio_postgres::Config>() else { return "no address".to_owned() };
    let hosts = config.get_hosts().iter().map(|host| match host {
        tokio_postgres::config::Host::Tcp(host) => host.clone(),
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    });
    let ports = config.get_ports();
    let port = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(5432);
    let addresses: Vec<String> = hosts.enumerate().map(|(place, host)| format!("{host}:{}", port(place))).collect();
    addresses.join(",")
}

pub(super) fn pool_error(error: PoolError, settings: &PostgresSettings) -> StoreError {
    match error {
        PoolError::Backend(error) => connection_error(error, settings),
        PoolError::Timeout(TimeoutType::Wait) => StoreError::new(
            StoreErrorKind::Transient,
            format!(
                "all connections to the database of {} are in use: postgres.pool_size must be the number of its lanes and two more",
                settings.setting()
            ),
        ),
        other => StoreError::new(
            StoreErrorKind::Transient,
            format!("no connection to the database of {}: {other}", settings.setting()),
        ),
    }
}

fn config(settings: &PostgresSettings) -> Result<tokio_postgres::Config, StoreError> {
    let fatal = |what: &str| StoreError::new(StoreErrorKind::Fatal, format!("{} {what}", settings.setting()));
    // Two settings for one thing would be one too many, and sslmode knows no verification here.
    if settings.url.contains("sslmode=") || settings.url.contains("sslrootcert=") {
        return Err(fatal("names sslmode or sslrootcert: say it by postgres.tls and postgres.tls_ca_file"));
    }
    // The parser's own message may repeat parts of the url, and so of the password.
    let parsed = settings.url.parse::<tokio_postgres::Config>();
    let mut config = parsed.map_err(|_| fatal("is not of the form postgres://user:password@host:port/database"))?;
    if config.get_application_name().is_none() {
        config.application_name("loyalty-worker");
    }
    config
        .ssl_mode(if settings.verify_full { SslMode::Require } else { SslMode::Disable })
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(2))
        .keepalives_retries(3);
    Ok(config)
}

fn add_session(config: &mut tokio_postgres::Config) {
    let own_options = config.get_options().unwrap_or_default().to_owned();
    let session: String = SESSION.iter().map(|(name, value)| format!(" -c {name}={value}")).collect();
    config.options(format!("{own_options}{session}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LaneRange;

    fn settings(url: &str) -> PostgresSettings {
        PostgresSettings { lanes: None, url: url.to_owned(), pool_size: 2, verify_full: false, tls_ca_file: None }
    }

    #[test]
    fn what_can_not_be_connected_to_is_refused_without_the_password() {
        for (url, part) in [
            ("postgres://worker:secret@db/loyalty?sslmode=require", "postgres.tls"),
            ("postgres://worker:secret@db/loyalty?sslmode=verify-full", "postgres.tls"),
            ("postgres://worker:secret@db/loyalty?sslmode=prefer", "postgres.tls"),
            ("postgres://worker:secret@db/loyalty?sslrootcert=/ca", "postgres.tls_ca_file"),
            ("postgres//worker:secret@db/loyalty", "postgres.url is not"),
            ("worker:secret@db=x", "postgres.url is not"),
        ] {
            let error = config(&settings(url)).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Fatal);
            assert!(error.message.contains(part), "{url}: {error}");
            assert!(!error.message.contains("secret"), "{url}: {error}");
        }
        assert_eq!(config(&settings("postgres://db/loyalty")).unwrap().get_ssl_mode(), SslMode::Disable);
        let verified = PostgresSettings { verify_full: true, ..settings("postgres://db/loyalty") };
        assert_eq!(config(&verified).unwrap().get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn a_pool_that_is_used_up_is_named_by_its_databases_setting() {
        let range = LaneRange { first: 4, last: 7, of: 8 };
        let settings = PostgresSettings { lanes: Some(range), ..settings("postgres://db/loyalty") };
        for kind in [TimeoutType::Wait, TimeoutType::Create] {
            let error = pool_error(PoolError::Timeout(kind), &settings);
            assert_eq!(error.kind, StoreErrorKind::Transient);
            assert!(error.message.contains("the database of postgres.lane_urls (4-7)"), "{error}");
        }
    }

    #[test]
    fn an_authority_that_can_not_be_read_is_refused_by_its_setting() {
        for file in ["/nowhere/ca.pem", "/dev/null"] {
            let settings = PostgresSettings { tls_ca_file: Some(file.to_owned()), ..settings("postgres://db/loyalty") };
            let error = pool(&settings).err().unwrap();
            assert_eq!(error.kind, StoreErrorKind::Fatal);
            assert!(error.message.contains("postgres.tls_ca_file") && error.message.contains(file), "{error}");
        }
    }

    #[test]
    fn options_of_the_url_are_kept() {
        let mut config = config(&settings("postgres://db/loyalty?options=-c%20search_path%3Dloyalty")).unwrap();
        add_session(&mut config);
        let options = config.get_options().unwrap();
        assert!(options.starts_with("-c search_path=loyalty -c idle_in_transaction_session_timeout=15s"), "{options}");
    }
}
