use super::*;

/// Loads a file of these lines under these variables.
fn load(file: &str, environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let path = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(path.path(), file).expect("written");
    Settings::load(Some(path.path()), environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

const REQUIRED: &str = "[kafka]\nbootstrap_servers = \"k:1\"\n[postgres]\nurl = \"postgres://u:s3cret@h/d\"\n\
                        [registry]\nurl = \"http://u:s3cret@r\"\n";

/// The three that must be set, from the environment, so that a case's file can be about one key.
const REQUIRED_ENVIRONMENT: [(&str, &str); 3] = [
    ("LOYALTY_KAFKA__BOOTSTRAP_SERVERS", "k:1"),
    ("LOYALTY_POSTGRES__URL", "postgres://u:s3cret@h/d"),
    ("LOYALTY_REGISTRY__URL", "http://r"),
];

fn problem(file: &str, environment: &[(&str, &str)]) -> String {
    let environment: Vec<_> = REQUIRED_ENVIRONMENT.into_iter().chain(environment.iter().copied()).collect();
    load(file, &environment).expect_err("refused").to_string()
}

#[test]
fn each_wrong_setting_in_the_file_is_named_with_its_line() {
    let cases = [
        ("[kafka]\ngroop = \"a\"", "line 2: there is no setting kafka.groop. Did you mean kafka.group?"),
        ("[kafka]\n\nsomething_else = 1", "line 3: there is no setting kafka.something_else. `loyalty-worker config"),
        ("[kavka]\ngroup = \"a\"", "line 1: there is no setting kavka"),
        ("group = \"a\"", "line 1: there is no setting group"),
        ("[kafka]\ngroup = 3", "line 2: kafka.group is not right. Expected: Text of 1 to 200 characters"),
        ("[kafka]\ngroup = \"a b\"", "letters, digits, `.`, `_` and `-`; found: \"a b\""),
        ("[kafka]\ntopic_prefix = \"a/b\"", "kafka.topic_prefix"),
        ("[kafka]\nclient_id = \"\"", "kafka.client_id"),
        ("[kafka]\ndevelopment = \"yes\"", "kafka.development is not right. Expected: true or false; found: \"yes\""),
        ("[kafka]\nproperties = 1", "kafka.properties is not right. Expected: A table"),
        ("[kafka.properties]\n\"acks\" = \"1\"", "kafka.properties: the Kafka property acks"),
        ("[kafka]\nproperties = {\"group.id\" = \"x\"}", "the Kafka property group.id can't be set"),
        (
            "[postgres]\npool_size = 1",
            "postgres.pool_size is not right. Expected: A whole number from 3 to 1000; found: 1",
        ),
        ("[postgres]\npool_size = 1.5", "postgres.pool_size"),
        ("[output]\nencoding = \"xml\"", "output.encoding is not right. Expected: One of avro, json; found: \"xml\""),
        ("[worker]\nmax_batch_commands = 0", "worker.max_batch_commands"),
        ("[worker]\nmax_due_per_batch = -1", "worker.max_due_per_batch"),
        (
            "[worker]\ntick_interval_ms = \"2s\"",
            "line 2: worker.tick_interval_ms is not right. Expected: A whole number of milli",
        ),
        ("[worker]\nsilent_topic_patience_ms = 1", "worker.silent_topic_patience_ms"),
        ("[worker]\nmax_unpublished_batches = 1000", "worker.max_unpublished_batches"),
        ("[http]\nlisten = \"9464\"", "http.listen is not right. Expected: An address and port such as 127.0.0.1:9464"),
        ("[log]\nformat = \"xml\"", "log.format is not right. Expected: One of text, json; found: \"xml\""),
        ("[log]\nfilter = \"info,=,\"", "log.filter"),
        ("[log\n", "line 1 is not TOML"),
    ];
    for (file, expected) in cases {
        let error = problem(file, &[]);
        assert!(error.contains(expected), "{file:?} gave {error:?}");
    }
}

#[test]
fn each_wrong_variable_is_named() {
    let cases = [
        (
            ("LOYALTY_KAFKA__GROOP", "a"),
            "the environment's LOYALTY_KAFKA__GROOP: there is no setting kafka.groop. Did you mean LOYALTY_KAFKA__GROUP?",
        ),
        (("LOYALTY_KAFKA_GROUP", "a"), "there is no setting LOYALTY_KAFKA_GROUP. Did you mean LOYALTY_KAFKA__GROUP?"),
        (
            ("LOYALTY_POSTGRES__POOL_SIZE", "many"),
            "the environment's LOYALTY_POSTGRES__POOL_SIZE: postgres.pool_size is not right",
        ),
        (("LOYALTY_KAFKA__DEVELOPMENT", "1"), "kafka.development is not right. Expected: true or false"),
        (
            ("LOYALTY_KAFKA__PROPERTIES__ENABLE__IDEMPOTENCE", "false"),
            "the Kafka property enable.idempotence can't be set",
        ),
        (
            ("LOYALTY_KAFKA__PROPERTIES", "{\"sasl.password\" = \"s3cret\"}"),
            "kafka.properties: the environment sets a table's entries one by one, such as \
             LOYALTY_KAFKA__PROPERTIES__SECURITY__PROTOCOL=SASL_SSL",
        ),
        (
            ("LOYALTY_POSTGRES__LANE_URLS", "{\"0-15\" = \"postgres://u:s3cret@h/d\"}"),
            "one by one, such as LOYALTY_POSTGRES__LANE_URLS__0_15=postgres://",
        ),
    ];
    for (variable, expected) in cases {
        let error = problem("", &[variable]);
        assert!(error.contains(expected) && !error.contains("s3cret"), "{variable:?} gave {error:?}");
    }
}

/// All that must be set but for the database.
const NO_DATABASE: &str = "[kafka]\nbootstrap_servers = \"k:1\"\n[registry]\nurl = \"http://r\"\n[postgres]\n";

#[test]
fn lanes_in_several_databases_are_a_table_or_variables() {
    let file =
        format!("{NO_DATABASE}lane_urls = {{\"2-10\" = \"postgres://h/b\", \"0-1\" = \"postgres://u:s3cret@h/a\"}}");
    let variables = [
        ("LOYALTY_POSTGRES__LANE_URLS__2_10", "postgres://h/b"),
        ("LOYALTY_POSTGRES__LANE_URLS__0_1", "postgres://u:s3cret@h/a"),
    ];
    for (file, environment) in [(file.as_str(), &[][..]), (NO_DATABASE, &variables[..])] {
        let settings = load(file, environment).expect("these settings are right");
        let databases = settings.postgres.iter().map(|database| (database.lanes, database.url.as_str()));
        let range = |first, last| Some(LaneRange { first, last, of: 11 });
        assert_eq!(
            databases.collect::<Vec<_>>(),
            [(range(0, 1), "postgres://u:s3cret@h/a"), (range(2, 10), "postgres://h/b")]
        );
        assert!(!format!("{settings:#?}").contains("s3cret"), "{settings:#?}");
    }
    let one =
        load(&format!("{NO_DATABASE}url = \"postgres://h/d\"\nlane_urls = {{}}"), &[]).expect("an empty table is none");
    assert_eq!(one.postgres.iter().map(|database| database.lanes).collect::<Vec<_>>(), [None]);
}

#[test]
fn ranges_of_lanes_that_can_not_be_are_refused() {
    let cases = [
        ("\"1-3\" = \"postgres://a\"", "postgres.lane_urls: lane 0 is in no range, though lane 1 is"),
        ("\"0-1\" = \"postgres://a\", \"3-3\" = \"postgres://b\"", "lane 2 is in no range"),
        ("\"0-2\" = \"postgres://a\", \"2-3\" = \"postgres://b\"", "lane 2 is in two ranges"),
        ("\"0-3\" = \"postgres://a\", \"1-2\" = \"postgres://b\"", "lane 1 is in two ranges"),
        ("\"0-1\" = \"postgres://a\", \"2-3\" = \"postgres://a\"", "have one address"),
        ("\"3-0\" = \"postgres://a\"", "\"3-0\" is no range of lanes"),
        ("\"0\" = \"postgres://a\"", "\"0\" is no range of lanes"),
        ("\"0-x\" = \"postgres://a\"", "\"0-x\" is no range of lanes"),
        ("\"postgres://u:s3cret@a\" = \"0-3\"", "the name of an entry is no range of lanes"),
        ("\"0-3\" = \"mysql://u:s3cret@a\"", "the lanes 0-3 need an address: postgres://user"),
        ("\"0-3\" = [\"s3cret\"]", "postgres.lane_urls is not right"),
    ];
    for (urls, expected) in cases {
        let error = load(&format!("{NO_DATABASE}lane_urls = {{{urls}}}"), &[]).expect_err("refused");
        let error = format!("{error} {error:?}");
        assert!(error.contains(expected) && !error.contains("s3cret"), "{urls} gave {error}");
    }
    let both = problem("[postgres]\nlane_urls = {\"0-3\" = \"postgres://a\"}", &[]);
    assert!(both.contains("postgres.url is set, and so is postgres.lane_urls"), "{both}");
    let variable = problem("", &[("LOYALTY_POSTGRES__LANE_URLS__0", "postgres://a")]);
    assert!(
        variable.contains("the environment's LOYALTY_POSTGRES__LANE_URLS__0: postgres.lane_urls: \"0\""),
        "{variable}"
    );
}

#[test]
fn what_must_be_set_names_both_ways() {
    let error = load("", &[]).expect_err("refused").to_string();
    for key in ["kafka.bootstrap_servers", "postgres.url", "registry.url"] {
        assert!(error.contains(&format!("{key} must be set")), "{error}");
    }
    assert!(error.contains("or as LOYALTY_POSTGRES__URL in the environment"), "{error}");
    assert!(error.contains("under [postgres]"), "{error}");
}

#[test]
fn all_that_is_wrong_is_named_at_once() {
    let error = load("[log]\nformat = 1\n[http]\nlistne = 2", &REQUIRED_ENVIRONMENT).expect_err("refused");
    assert_eq!(error.problems.len(), 2, "{error}");
}

#[test]
fn secrets_stand_in_no_error_and_in_no_debug() {
    let wrong = [
        "[postgres]\nurl = \"mysql://u:s3cret@h\"",
        "[registry]\nurl = \"u:s3cret\"",
        "[postgres]\nurl = \"postgres://u:s3cret",
        "[kafka]\nproperties = {\"sasl.password\" = [\"s3cret\"]}",
    ];
    for file in wrong {
        let error = load(file, &[]).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
    let settings =
        load(REQUIRED, &[("LOYALTY_KAFKA__PROPERTIES__SASL__PASSWORD", "s3cret")]).expect("these settings are right");
    assert_eq!(settings.kafka.properties["sasl.password"], "s3cret");
    assert!(!format!("{settings:?}").contains("s3cret"), "{settings:?}");
}

#[test]
fn the_environment_goes_before_the_file() {
    let file = format!(
        "{REQUIRED}[worker]\nmax_batch_commands = 7\n[kafka.properties]\n\"debug\" = \"cgrp\"\n\"socket.nagle.disable\" = true\n"
    );
    let file = file.replace("[kafka]\n", "").replace("bootstrap_servers = \"k:1\"\n", "");
    let settings = load(
        &file,
        &[
            ("LOYALTY_KAFKA__BOOTSTRAP_SERVERS", "k:2"),
            ("LOYALTY_WORKER__MAX_BATCH_COMMANDS", "9"),
            ("LOYALTY_OUTPUT__ENCODING", "json"),
            ("LOYALTY_KAFKA__PROPERTIES__DEBUG", "all"),
            ("LOYALTY_WORKER_SERVICE_HOST", "10.0.0.1"), // as Kubernetes makes them
            ("LOYALTY_FAIL_POINT", "after-poll"),
            ("PATH", "/bin"),
        ],
    )
    .expect("these settings are right");
    assert_eq!(settings.kafka.bootstrap_servers, "k:2");
    assert_eq!(settings.worker.max_batch_commands, 9);
    assert_eq!(settings.output.encoding, Encoding::Json);
    assert_eq!(settings.kafka.properties["debug"], "all");
    assert_eq!(settings.kafka.properties["socket.nagle.disable"], "true");
    assert_eq!(settings.kafka.group, "loyalty-worker");
    assert!(!settings.kafka.client_id.is_empty());
}

#[test]
fn the_checked_in_default_file_is_the_generated_one() {
    let checked_in = include_str!("../../deploy/loyalty-worker.toml");
    assert_eq!(checked_in, default_file(), "run: cargo run -- config default > deploy/loyalty-worker.toml");
}

#[test]
fn the_default_file_loads_with_every_key_in_it() {
    let uncommented: String = default_file()
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    for key in &KEYS {
        assert!(uncommented.contains(&format!("\n{} = ", key.name)), "{}", key.path());
    }
    let set = load(&uncommented, &[]).expect("the default file is right");
    let unset = load(&default_file(), &REQUIRED_ENVIRONMENT).expect("commented out it is right too");
    assert_eq!(format!("{:?}", set.worker), format!("{:?}", unset.worker));
    assert_eq!(set.http.listen, "127.0.0.1:9464");
    assert_eq!(set.output.encoding, Encoding::Avro);
    assert!(!set.log.json);
}

#[test]
fn what_is_shown_is_a_file_with_masked_passwords() {
    let environment = [
        ("LOYALTY_KAFKA__BOOTSTRAP_SERVERS", "kafka:9092"),
        ("LOYALTY_KAFKA__CLIENT_ID", "pod-0"),
        ("LOYALTY_KAFKA__PROPERTIES__SASL__PASSWORD", "hush"),
        ("LOYALTY_KAFKA__PROPERTIES__SASL__USERNAME", "worker"),
        ("LOYALTY_POSTGRES__URL", "postgres://worker:hu%40sh@db:5432/loyalty"),
        ("LOYALTY_REGISTRY__URL", "http://registry:hush@registry:8081"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let text = shown(None, environment.into_iter()).expect("good settings");
    assert!(!text.contains("hu%40sh") && !text.contains("hush"), "{text}");
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(table["postgres"]["url"].as_str(), Some("postgres://worker:***@db:5432/loyalty"));
    assert_eq!(table["registry"]["url"].as_str(), Some("http://registry:***@registry:8081"));
    assert_eq!(table["kafka"]["properties"]["sasl.username"].as_str(), Some("worker"));
    assert_eq!(table["kafka"]["instance_id"].as_str(), Some("pod-0"));
    assert_eq!(table["worker"]["max_batch_commands"].as_integer(), Some(2000));
}

/// With an `@` as it is, the end of the password would be the beginning of the host, which errors show.
#[test]
fn a_password_is_written_as_an_address_wants_it() {
    for (url, is_one) in [
        ("postgres://worker:hu%40sh@db:5432/loyalty", true),
        ("postgres://worker:hu@sh@db:5432/loyalty", false),
        ("postgres://db/loyalty?user=worker@server&password=hush", false),
    ] {
        assert_eq!(Kind::PostgresUrl.accepts(url), is_one, "{url}");
    }
}

#[test]
fn no_part_of_a_password_is_shown() {
    let cases = [
        ("postgres://worker:hu@sh@db:5432/loyalty", "postgres://worker:***@db:5432/loyalty"),
        ("postgres://worker:hu/s?h@db/loyalty", "postgres://***"),
        ("postgres://worker@db/loyalty?sslmode=require", "postgres://worker@db/loyalty?sslmode=require"),
        ("postgres://db/loyalty?user=worker&password=hush&a=b", "postgres://db/loyalty?user=worker&password=***&a=b"),
        ("postgres://db/loyalty?password=hu@s:h@b", "postgres://***"),
        ("postgres://worker@db/loyalty?application_name=x@y&password=hush", "postgres://worker@db/loyalty?***"),
        ("postgres://db/loyalty?user=worker@server&password=hush", "postgres://***"),
        ("http://registry:8081/apis", "http://registry:8081/apis"),
    ];
    for (url, shown) in cases {
        assert_eq!(without_password(url), shown);
    }
}

#[test]
fn a_misspelt_level_is_no_filter() {
    for (filter, is_one) in [
        ("info", true),
        ("info,loyalty_worker::kafka=debug", true),
        ("loyalty_worker=TRACE", true),
        ("inof", false),
        ("info,loyalty_worker", false),
        ("loyalty_worker=verbose", false),
        ("", false),
    ] {
        assert_eq!(Kind::LogFilter.accepts(filter), is_one, "{filter}");
    }
}
