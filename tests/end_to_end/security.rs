//! Kafka that asks for TLS, a name and rights, and Postgres that asks for TLS and a password: what works, and what is refused and how.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::commands::Shop;
use crate::support::installation::Done;
use crate::support::stack::{OwnStack, Secured};
use crate::support::{Installation, LANES, eventually};

const USER: &str = "LOYALTY_KAFKA__PROPERTIES__SASL__USERNAME";
const PASSWORD: &str = "LOYALTY_KAFKA__PROPERTIES__SASL__PASSWORD";
const CA: &str = "LOYALTY_KAFKA__PROPERTIES__SSL__CA__LOCATION";
const POSTGRES: &str = "LOYALTY_POSTGRES__URL";
const POSTGRES_TLS: &str = "LOYALTY_POSTGRES__TLS";
const POSTGRES_CA: &str = "LOYALTY_POSTGRES__TLS_CA_FILE";

/// One stack for all tests of this file: its guard brings it down when the tests end.
fn stack() -> &'static OwnStack {
    static STACK: OnceLock<OwnStack> = OnceLock::new();
    STACK.get_or_init(|| OwnStack::up_secured("secured"))
}

/// An installation whose commands say who they are. It is set up, with the rights of each part.
struct SecuredInstallation {
    installation: Installation,
    secured: Secured,
}

impl SecuredInstallation {
    fn new(name: &str) -> SecuredInstallation {
        let stack = stack();
        let installation = Installation::bare(&stack.addresses(), name);
        installation.server().execute(&format!("alter database \"{}\" owner to owner", installation.database));
        stack.allow(&installation.prefix, &installation.name);
        let made = SecuredInstallation { installation, secured: stack.secured() };
        made.must("operator", "owner", &["migrate", "--grant-to", "worker", "--grant-read-to", "reader"]);
        made.must("operator", "owner", &["topics", "create", "--lanes", &LANES.to_string()]);
        made.must("operator", "owner", &["schemas", "register"]);
        made
    }

    /// The settings of a Kafka user and a role of Postgres, over TLS, with the right passwords.
    fn settings(&self, user: &str, role: &str) -> Vec<(&'static str, String)> {
        let secured = &self.secured;
        vec![
            ("LOYALTY_KAFKA__BOOTSTRAP_SERVERS", secured.kafka_sasl.clone()),
            ("LOYALTY_KAFKA__PROPERTIES__SECURITY__PROTOCOL", "SASL_SSL".to_owned()),
            ("LOYALTY_KAFKA__PROPERTIES__SASL__MECHANISM", "SCRAM-SHA-512".to_owned()),
            (USER, user.to_owned()),
            (PASSWORD, secured.password.clone()),
            (CA, secured.ca.clone()),
            (POSTGRES, self.postgres_url(role, &secured.password)),
            (POSTGRES_TLS, "verify-full".to_owned()),
            (POSTGRES_CA, secured.ca.clone()),
        ]
    }

    fn postgres_url(&self, role: &str, password: &str) -> String {
        format!("postgres://{role}:{password}@{}/{}", self.secured.postgres, self.installation.database)
    }

    /// The worker's settings but for one.
    fn but_for(&self, name: &str, value: &str) -> Vec<(&'static str, String)> {
        let mut settings = self.settings("worker", "worker");
        let changed = settings.iter_mut().find(|(known, _)| *known == name).expect("a setting that is there");
        changed.1 = value.to_owned();
        settings
    }

    fn call(&self, user: &str, role: &str, arguments: &[&str]) -> Done {
        self.installation.call_with(arguments, &borrowed(&self.settings(user, role)))
    }

    fn must(&self, user: &str, role: &str, arguments: &[&str]) -> String {
        let done = self.call(user, role, arguments);
        assert_eq!(done.code, Some(0), "{arguments:?} as {user} failed:\n{}{}", done.stdout, done.stderr);
        done.stdout
    }
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// A command on one topic, as `send` takes it.
fn line(topic: &str, mut command: Value) -> String {
    command["topic"] = json!(topic);
    format!("{command}\n")
}

#[test]
fn each_with_its_own_rights() {
    let secured = SecuredInstallation::new("rights");
    let installation = &secured.installation;
    let worker = installation.worker_with(&borrowed(&secured.settings("worker", "worker")));
    worker.await_all_lanes();

    let shop = Shop::of_lane(installation, 0);
    let commands = [
        line("merchant-config", shop.points("points")),
        line("customer-upsert", shop.customer("hello", "ada")),
        line("credit", shop.credit("order-1", "ada", 500)),
    ];
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), commands.concat()).expect("written");
    let path = file.path().to_str().expect("a path");
    secured.must("sender", "reader", &["send", path]);
    let results = eventually("three results are there for a listener", || {
        let told = secured.must("listener", "reader", &["tail", "results", "--from-beginning"]);
        let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
        (told.len() == commands.len()).then_some(told)
    });
    assert!(results.iter().all(|result| result["value"]["status"] == "accepted"), "{results:?}");
    let page = secured.must("listener", "reader", &["customer", shop.merchant, "external_id:ada"]);
    assert!(page.contains("points: 500 available"), "{page}");

    // Nobody does what is another's.
    let foreign: [(&str, &[&str]); 4] = [
        ("listener", &["send", path]),
        ("sender", &["tail", "results", "--from-beginning"]),
        ("listener", &["tail", "journal", "--from-beginning"]),
        ("worker", &["topics", "create", "--lanes", "3"]),
    ];
    for (user, arguments) in foreign {
        let refused = secured.call(user, "worker", arguments);
        assert_eq!(refused.code, Some(1), "{user} may {arguments:?}: {}{}", refused.stdout, refused.stderr);
    }
    installation.database().execute(&format!(
        "update lane set halted_topic = '{}credit', halted_offset = 1000000 where lane = 0",
        installation.prefix
    ));
    let refused = secured.call("operator", "reader", &["skip", "credit/0/1000000", "--reason", "none"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("permission denied"), "{}", refused.stderr);

    let log = worker.log().concat();
    assert!(!log.contains(&secured.secured.password), "the password is in the log");
    worker.finish();
    let audit = secured.must("operator", "reader", &["audit", "--expect-idle"]);
    assert!(audit.contains("The audit holds."), "{audit}");
}

/// As a right that an administrator takes away by mistake: the lanes are not held by a worker that can't read one of their topics.
#[test]
fn a_worker_that_loses_a_right_on_one_topic_ends_and_names_the_topic() {
    let secured = SecuredInstallation::new("lost-topic");
    let installation = &secured.installation;
    let settings = secured.settings("worker", "worker");
    let mut worker = installation.worker_with(&borrowed(&settings));
    worker.await_all_lanes();
    let credit = format!("{}credit", installation.prefix);
    stack().forbid("worker", "Read", &credit);
    assert_eq!(worker.await_end().code(), Some(1));
    let last = worker.log().last().cloned().unwrap_or_default();
    assert!(last.contains(&credit) && last.contains("uthorization"), "{last}");

    stack().allow(&installation.prefix, &installation.name);
    let again = installation.worker_with(&borrowed(&settings));
    again.await_all_lanes();
    again.finish();
}

#[test]
fn a_certificate_in_place_of_a_password() {
    let secured = SecuredInstallation::new("certificate");
    let mut settings = secured.but_for("LOYALTY_KAFKA__BOOTSTRAP_SERVERS", &secured.secured.kafka_ssl);
    settings.retain(|(name, _)| !name.contains("__SASL__"));
    settings.push(("LOYALTY_KAFKA__PROPERTIES__SECURITY__PROTOCOL", "SSL".to_owned()));
    let certificate = &secured.secured.worker_certificate;
    settings.push(("LOYALTY_KAFKA__PROPERTIES__SSL__CERTIFICATE__LOCATION", certificate.clone()));
    settings.push(("LOYALTY_KAFKA__PROPERTIES__SSL__KEY__LOCATION", certificate.clone()));
    secured.installation.worker_with(&borrowed(&settings)).finish();
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    let secured = SecuredInstallation::new("other-ca");
    let other = secured.secured.other_ca.clone();
    // The name in the certificate is localhost, and the address of it.
    let elsewhere = secured.postgres_url("worker", &secured.secured.password);
    let elsewhere = format!("{}?hostaddr=127.0.0.1", elsewhere.replace("@127.0.0.1:", "@elsewhere:"));
    for (name, value, setting) in [
        (CA, &*other, "ssl.ca.location"),
        (CA, "/nowhere/ca.pem", "ssl.ca.location"),
        (POSTGRES_CA, &*other, "postgres.tls_ca_file"),
        (POSTGRES_CA, "/nowhere/ca.pem", "postgres.tls_ca_file"),
        (POSTGRES, &*elsewhere, "postgres.url"),
        // Postgres does not take the role without.
        (POSTGRES_TLS, "disable", "postgres.tls"),
    ] {
        let refused = secured.installation.call_with(&["run"], &borrowed(&secured.but_for(name, value)));
        let told = refused.stderr;
        assert!(refused.code == Some(1) || refused.code == Some(2), "{name}={value}: {:?}\n{told}", refused.code);
        assert!(told.contains(setting), "{name}={value}: {setting} is not named\n{told}");
        assert!(!told.contains(&secured.secured.password), "{name}={value}: the password is told");
    }
}

#[test]
fn a_wrong_password_is_refused_and_never_told() {
    let secured = SecuredInstallation::new("password");
    let wrong = "not-the-password";
    for (name, value, setting) in [
        (PASSWORD, wrong.to_owned(), "sasl.password"),
        (POSTGRES, secured.postgres_url("worker", wrong), "postgres.url"),
    ] {
        // librdkafka tells most at debug.
        let mut settings = secured.but_for(name, &value);
        settings.push(("LOYALTY_LOG__FILTER", "debug".to_owned()));
        let refused = secured.installation.call_with(&["run"], &borrowed(&settings));
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        assert!(refused.stderr.contains(setting), "{setting} is not named\n{}", refused.stderr);
        let checked = secured.installation.call_with(&["config", "check"], &borrowed(&settings));
        assert_eq!(checked.code, Some(0), "{}", checked.stderr);
        for told in [refused.stdout, refused.stderr, checked.stdout, checked.stderr] {
            assert!(!told.contains(wrong) && !told.contains(&secured.secured.password), "a password is told:\n{told}");
        }
    }
}

#[test]
fn the_workers_role_adds_to_the_ledger_and_changes_nothing_in_it() {
    let secured = SecuredInstallation::new("roles");
    let database = secured.installation.database();
    database.execute("set role worker");
    for table in ["entry", "decision", "memory", "config_version"] {
        let column = database.one::<String>(&format!(
            "select attname::text from pg_attribute where attrelid = '{table}'::regclass and attnum = 1"
        ));
        for statement in [
            format!("update {table} set {column} = {column}"),
            format!("delete from {table}"),
            format!("truncate {table}"),
            format!("drop table {table}"),
            format!("alter table {table} disable trigger all"),
        ] {
            let refusal = database.refusal(&statement);
            let expected = [format!("permission denied for table {table}"), format!("must be owner of table {table}")];
            assert!(expected.contains(&refusal), "{statement}: {refusal}");
        }
    }
    for statement in [
        "delete from customer",
        "delete from lane",
        "update lane set cluster_id = 'another'",
        "update outbox set batch = 1",
        "delete from replayed_record",
        "update parked set place = 1",
        "update replayed_record set topic = 'another'",
        "insert into schema_migration (name, checksum) values ('9999', '')",
        "create table more ()",
    ] {
        let refusal = database.refusal(statement);
        assert!(refusal.starts_with("permission denied"), "{statement}: {refusal}");
    }

    database.execute("reset role; set role reader");
    for statement in ["update customer set version = 1", "select records from outbox", "select from lane for update"] {
        let refusal = database.refusal(statement);
        assert!(refusal.starts_with("permission denied"), "{statement}: {refusal}");
    }
    database.execute("select from account; select from lot; select from entry_lot; reset role");
}
