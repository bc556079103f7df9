//! TLS to Postgres and to the schema registry: who is trusted. (Kafka's is librdkafka's own: see the setting `kafka.properties`.)

use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use postgres_openssl::MakeTlsConnector;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::config::{PostgresSettings, RegistrySettings};

/// A certificate file that can't be used: the setting that names it, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} names {file}, which can't be used: {reason}")]
pub struct TlsError {
    setting: &'static str,
    file: String,
    reason: String,
}

/// Verifies the server's certificate and its name, by the authorities in `postgres.tls_ca_file` or by the system's. Whether TLS is spoken
/// at all is the connection's `sslmode`.
pub fn postgres_connector(settings: &PostgresSettings) -> Result<MakeTlsConnector, TlsError> {
    let refuse = |reason: String| TlsError {
        setting: "postgres.tls_ca_file",
        file: settings.tls_ca_file.clone().unwrap_or_default(),
        reason,
    };
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(|error| refuse(error.to_string()))?;
    if let Some(file) = &settings.tls_ca_file {
        // In place of the system's authorities, not beside them.
        let pem = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
        let certificates = X509::stack_from_pem(&pem).map_err(|error| refuse(error.to_string()))?;
        let mut store = X509StoreBuilder::new().map_err(|error| refuse(error.to_string()))?;
        if certificates.is_empty() {
            return Err(refuse("it holds no certificate".to_owned()));
        }
        for certificate in certificates {
            store.add_cert(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        builder.set_cert_store(store.build());
    }
    Ok(MakeTlsConnector::new(builder.build()))
}

/// Asks the registry, over TLS where its address says so. Answers with an error status are answers.
pub fn registry_agent(settings: &RegistrySettings, timeout: Duration) -> Result<ureq::Agent, TlsError> {
    let root_certs = match &settings.tls_ca_file {
        None => RootCerts::PlatformVerifier,
        Some(file) => {
            let refuse = |reason: String| TlsError { setting: "registry.tls_ca_file", file: file.clone(), reason };
            let pem = std::fs::read(file).map_err(|error| refuse(error.to_string()))?;
            let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| refuse(error.to_string()))?;
            let certificate = |item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            };
            let certificates: Vec<_> = items.into_iter().filter_map(certificate).collect();
            if certificates.is_empty() {
                return Err(refuse("it holds no certificate".to_owned()));
            }
            RootCerts::from(certificates)
        }
    };
    let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(root_certs).build();
    let config = ureq::Agent::config_builder().tls_config(tls).timeout_global(Some(timeout));
    Ok(config.http_status_as_error(false).build().new_agent())
}
