//! Against a real schema registry: needs REGISTRY_URL, as `deploy/local/stack` writes it.

use loyalty_worker::codec::decode::Decoder;
use loyalty_worker::codec::records::Tick;
use loyalty_worker::codec::wire;
use loyalty_worker::codec::{Encoder, NeedsSchema, RegistryClient, RegistryError, framing, register_all, schemas};
use loyalty_worker::config::{Encoding, RegistrySettings};
use loyalty_worker::domain::command::{Content, DeadLetterClass};
use loyalty_worker::domain::{CommandTopic, Instant, Position};
use loyalty_worker::record::{Headers, InboundRecord, TopicNames};

fn registry() -> RegistryClient {
    let url = std::env::var("REGISTRY_URL")
        .expect("REGISTRY_URL is not set: start the stack (deploy/local/stack) and run with its environment");
    RegistryClient::new(&RegistrySettings::at(&url)).unwrap()
}

/// Names of this run's own, so that runs do not see each other's subjects.
fn names() -> TopicNames {
    let since = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    TopicNames::new(format!("test-{}-{}.", std::process::id(), since.as_nanos()))
}

fn record(schema_id: u32) -> InboundRecord {
    let datum = wire::datum(&Tick { lane: 0, at: loyalty_worker::domain::Instant::EPOCH });
    InboundRecord {
        position: Position { topic: CommandTopic::Credit, partition: 0, offset: 0 },
        timestamp: Instant::EPOCH,
        key: None,
        value: Some(framing::confluent(schema_id, Vec::new(), |out| out.extend_from_slice(&datum))),
        headers: Headers::default(),
    }
}

#[tokio::test]
async fn every_schema_registers_once() {
    let (registry, names) = (registry(), names());
    let first = register_all(&registry, &names).await.expect("registers");
    assert_eq!(first.len(), 12);
    assert_eq!(register_all(&registry, &names).await.expect("registers again"), first);
    Encoder::register(&registry, &names, Encoding::Json).await.expect("registers what goes out");
    let stored = tokio::task::spawn_blocking(move || registry.schema_by_id(first[CommandTopic::Credit.index()].1))
        .await
        .unwrap()
        .unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert!(schemas::command(CommandTopic::Credit).is_same(&stored), "the registry changed the schema: {stored}");
}

#[tokio::test]
async fn a_decoder_learns_and_an_unknown_id_is_a_dead_letter() {
    let (registry, names) = (registry(), names());
    let ids = register_all(&registry, &names).await.expect("registers");
    let decoder = Decoder::new(1, registry);
    let clock = ids[CommandTopic::Clock.index()].1;
    let classes = [(clock, DeadLetterClass::Undecodable), (u32::MAX / 2, DeadLetterClass::UnknownSchema)];
    for (id, class) in classes {
        assert_eq!(decoder.decode(&record(id), "t").unwrap_err(), NeedsSchema { id });
        decoder.learn(id).await.expect("the registry answers");
        let Content::DeadLetter(dead_letter) = decoder.decode(&record(id), "t").expect("it is known now").content
        else {
            panic!("a tick among credits is no command");
        };
        assert_eq!((dead_letter.class, dead_letter.schema_id), (class, Some(id)));
    }
}

#[tokio::test]
async fn a_dead_registry_is_unavailable_and_its_address_a_secret() {
    let dead = RegistryClient::new(&RegistrySettings::at("http://user:secret@127.0.0.1:1/api")).unwrap();
    let error = tokio::task::spawn_blocking(move || dead.schema_by_id(1)).await.unwrap().unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

/// The registry's own check. What goes out the old and the new read both ways; commands a worker reads with the new schema, the old ones
/// too, and they may have variants that the old schema does not know.
#[tokio::test]
async fn the_registry_takes_every_schema_as_successor_of_the_released_ones() {
    let (registry, names) = (registry(), names());
    let url = std::env::var("REGISTRY_URL").unwrap();
    let check = move || {
        for (subject, schema) in schemas::subjects(&names) {
            let suffix = subject.trim_end_matches("-value").rsplit('.').next().unwrap();
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/released");
            let mut releases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            releases.sort();
            assert!(!releases.is_empty());
            for release in releases {
                let released = std::fs::read_to_string(release.join(format!("{suffix}.avsc"))).unwrap();
                registry.register(&subject, &released).expect("the released one");
            }
            let is_command = CommandTopic::ALL.iter().any(|topic| topic.suffix() == suffix);
            let rule = if is_command { "BACKWARD_TRANSITIVE" } else { "FULL_TRANSITIVE" };
            let strictest = ureq::put(format!("{url}/config/{subject}"))
                .header("content-type", "application/vnd.schemaregistry.v1+json")
                .send(format!(r#"{{"compatibility":"{rule}"}}"#));
            strictest.expect("the registry sets the subject's rule");
            registry.register(&subject, schema.text).unwrap_or_else(|error| panic!("{subject}: {error}"));

            let mut broken = schema.json.clone();
            let more = serde_json::json!({"name": "more", "type": "string"});
            broken["fields"].as_array_mut().unwrap().push(more);
            let refused = registry.register(&subject, &broken.to_string());
            assert!(matches!(refused, Err(RegistryError::Refused { .. })), "{subject}: {refused:?}");
        }
    };
    tokio::task::spawn_blocking(check).await.unwrap();
}

/// A certificate for localhost that signs itself, and its key.
fn certificate() -> (openssl::x509::X509, openssl::pkey::PKey<openssl::pkey::Private>) {
    use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
    use openssl::{asn1::Asn1Time, bn::BigNum, hash::MessageDigest, pkey::PKey, rsa::Rsa, x509};
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = x509::X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut certificate = x509::X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let context = certificate.x509v3_context(None, None);
    let names = SubjectAlternativeName::new().dns("localhost").build(&context).unwrap();
    certificate.append_extension(names).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    (certificate.build(), key)
}

#[test]
fn a_registry_behind_tls_is_verified() {
    use std::io::{Read, Write};
    let (certificate, key) = certificate();
    let mut acceptor = openssl::ssl::SslAcceptor::mozilla_intermediate(openssl::ssl::SslMethod::tls()).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    acceptor.set_private_key(&key).unwrap();
    let acceptor = acceptor.build();
    let listener = std::net::TcpListener::bind("localhost:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // Who does not trust us ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream.unwrap()) else { continue };
            let _ = stream.read(&mut [0; 4096]);
            let body = r#"{"schema":"\"string\""}"#;
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let ask = |file: &str, pem: &[u8]| {
        let file = folder.path().join(file);
        std::fs::write(&file, pem).unwrap();
        let file = file.to_str().unwrap().to_owned();
        let settings = RegistrySettings { tls_ca_file: Some(file), ..RegistrySettings::at(&url) };
        RegistryClient::new(&settings).and_then(|registry| registry.schema_by_id(1))
    };
    assert_eq!(ask("ours.pem", &certificate.to_pem().unwrap()), Ok("\"string\"".to_owned()));
    let (other, _) = self::certificate();
    let refused = ask("other.pem", &other.to_pem().unwrap());
    assert!(matches!(refused, Err(RegistryError::Unavailable { .. })), "{refused:?}");
    // Without a file, the system's authorities: they do not know us.
    let system = RegistryClient::new(&RegistrySettings::at(&url)).unwrap().schema_by_id(1);
    assert!(matches!(system, Err(RegistryError::Unavailable { .. })), "{system:?}");
    let empty = ask("empty.pem", b"").unwrap_err().to_string();
    assert!(empty.contains("registry.tls_ca_file"), "{empty}");
}
