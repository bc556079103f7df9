use std::sync::Arc;

use super::*;
use crate::cli::config::document::written;
use crate::codec::RegistryClient;
use crate::config::RegistrySettings;
use crate::domain::ConfigObject;
use crate::domain::config::{Settings, Unit, Version, Zone};

/// So many after 2026-01-10T12:00:00Z, which is now.
fn hours(after: i64) -> Instant {
    Instant::from_micros(1_768_046_400_000_000).saturating_add_seconds(after * 60 * 60)
}

fn decoder() -> Decoder {
    Decoder::new(1, RegistryClient::new(&RegistrySettings::at("http://127.0.0.1:1")).unwrap())
}

fn document(value: &Value) -> Document {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn against(config: &MerchantConfig, file: &Value) -> Result<Difference, CliError> {
    difference(&document(file), config, hours(0), &decoder())
}

/// What a merchant has when this file's commands were accepted.
fn applied(config: &MerchantConfig, file: &Value) -> MerchantConfig {
    let made = tried(&document(file), &MerchantId::new("cafe"), config, hours(0), &decoder());
    made.unwrap_or_else(|error| panic!("{file}: {error}")).1
}

fn cafe() -> MerchantConfig {
    let file = json!({
        "merchant_id": "cafe",
        "settings": { "time_zone": "Europe/Berlin", "email": "hello@cafe.example" },
        "units": [
            { "unit_id": "points", "name": "Points", "expiry_days": 180 },
            { "unit_id": "gift", "name": "Gift card", "kind": "money", "currency": "EUR", "scale": 2 },
        ],
    });
    applied(&MerchantConfig::default(), &file)
}

fn points(expiry_days: Value) -> Value {
    json!({ "unit_id": "points", "name": "Points", "expiry_days": expiry_days })
}

#[test]
fn the_difference_is_told_field_by_field() {
    // settings, units, what is told, what is left alone
    let cases: [(Value, Value, &[&str], &[&str]); 10] = [
        (json!(null), json!([]), &[], &["settings.email", "settings.time_zone", "unit gift", "unit points"]),
        (
            json!({ "time_zone": "UTC" }),
            json!([points(json!(180))]),
            &["settings.time_zone: Europe/Berlin -> UTC"],
            &["settings.email", "unit gift"],
        ),
        // Null keeps.
        (
            json!({ "email": null, "name": "Cafe" }),
            json!([]),
            &["settings.name: null -> Cafe"],
            &["settings.email", "settings.time_zone", "unit gift", "unit points"],
        ),
        (
            json!({ "clear": ["email", "phone"] }),
            json!([]),
            &["settings.email: hello@cafe.example -> null"],
            &["settings.time_zone", "unit gift", "unit points"],
        ),
        // As it would be stored.
        (
            json!({ "email": " Hello@CAFE.example" }),
            json!([]),
            &[],
            &["settings.time_zone", "unit gift", "unit points"],
        ),
        (
            json!({ "max_age_s": 60, "social": { "web": "cafe.example" }, "required_fields": ["name"] }),
            json!([]),
            &[
                "settings.max_age_s: 259200 -> 60",
                "settings.required_fields: [] -> [\"name\"]",
                "settings.social: {} -> {\"web\":\"cafe.example\"}",
            ],
            &["settings.email", "settings.time_zone", "unit gift", "unit points"],
        ),
        // What a preset stands for, and what stands beside it.
        (
            json!({ "preset": "rewrd", "key_form": "any" }),
            json!([]),
            &[
                "settings.match_by: [\"external_id\",\"phone\",\"email\"] -> [\"phone\"]",
                "settings.profile_change_needs_active: false -> true",
            ],
            &["settings.email", "settings.time_zone", "unit gift", "unit points"],
        ),
        (
            json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }),
            json!([points(json!(365))]),
            &["unit points.expiry_days: 180 -> 365"],
            &["unit gift"],
        ),
        // A unit is whole: what is left out is at its default.
        (
            json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }),
            json!([{ "unit_id": "points", "name": "Dots" }]),
            &["unit points.expiry_days: 180 -> null", "unit points.name: Points -> Dots"],
            &["unit gift"],
        ),
        (
            json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }),
            json!([{ "unit_id": "stars", "name": "Stars" }, points(json!(180))]),
            &["unit stars: new"],
            &["unit gift"],
        ),
    ];
    let config = cafe();
    for (settings, units, told, left) in cases {
        let file = json!({ "merchant_id": "cafe", "settings": settings, "units": units });
        let found = against(&config, &file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let lines: Vec<&str> = found.changes.iter().flat_map(|change| &change.lines).map(String::as_str).collect();
        assert_eq!(lines, told, "{file}");
        assert_eq!(found.left_alone, left, "{file}");
    }
}

#[test]
fn what_is_not_right_is_named_where_it_stands() {
    let gift = json!({ "unit_id": "gift", "name": "Gift card", "kind": "money", "currency": "EUR", "scale": 3 });
    // settings, units, exit code, what is told
    let cases: [(Value, Value, u8, &[&str]); 9] = [
        (json!({ "tme_zone": "UTC" }), json!([]), 2, &["settings.tme_zone: is not a field"]),
        (json!({ "max_age_s": "60" }), json!([]), 2, &["settings.max_age_s: must be an integer"]),
        (json!({ "time_zone": "Asia/Kobe" }), json!([]), 2, &["settings.time_zone: must be an IANA time zone"]),
        (json!({ "type": "settings" }), json!([]), 2, &["settings.type: is not a field"]),
        (json!([]), json!([]), 2, &["settings: must be an object"]),
        (json!({}), json!([{ "unit_id": "points" }]), 2, &["units[0].name: is required"]),
        // All of it is told at once.
        (
            json!({ "match_by": [] }),
            json!([points(json!(0)), points(json!("x"))]),
            2,
            &[
                "settings.match_by: must name at least one identifier",
                "units[0].expiry_days: must be from 1 to 3650",
                "units[1].expiry_days: must be an integer",
            ],
        ),
        (json!({}), json!([points(json!(1)), points(json!(2))]), 2, &["units[1].unit_id: points is there twice"]),
        (json!({}), json!([gift]), 1, &["units[0]: protected_field: A unit's scale can't change"]),
    ];
    let config = cafe();
    for (settings, units, code, told) in cases {
        let file = json!({ "merchant_id": "cafe", "settings": settings, "units": units });
        let error = against(&config, &file).expect_err("it is not right");
        let text = error.to_string();
        assert_eq!(error.code(), code, "{file}: {text}");
        assert!(told.iter().all(|part| text.contains(part)), "{file}: {text}");
        assert!(text.to_lowercase().contains("nothing was sent"), "{text}");
    }
    let nobody = against(&config, &json!({ "merchant_id": "", "settings": {} })).expect_err("nobody");
    assert!(nobody.to_string().contains("merchant_id of 1 to 64 bytes"), "{nobody}");
}

#[test]
fn the_same_change_of_the_same_version_is_the_same_command() {
    let file = json!({ "merchant_id": "cafe", "settings": { "time_zone": "UTC" }, "units": [points(json!(365))] });
    let merchant = MerchantId::new("cafe");
    let records = |config: &MerchantConfig| -> Vec<Value> {
        let found = against(config, &file).expect("it is right");
        let records = found.changes.iter().map(|change| change.record(&merchant));
        records.map(|record| serde_json::from_slice(&record).expect("JSON")).collect()
    };
    let config = cafe();
    let first = records(&config);
    assert_eq!(first[0]["command"], json!({ "type": "settings", "time_zone": "UTC" }));
    assert_eq!((&first[0]["expected_version"], &first[1]["expected_version"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&first[1]["command"]["type"], &first[1]["command"]["expiry_days"], &first[1]["command"]["step"]),
        (&json!("unit"), &json!(365), &json!(1))
    );
    assert_eq!(records(&config), first);

    // The same change once more, after it was made and taken back.
    let there = applied(&config, &file);
    let mut back = file.clone();
    back["settings"]["time_zone"] = json!("Europe/Berlin");
    back["units"][0] = points(json!(180));
    assert_eq!(records(&there), Vec::<Value>::new());
    let again = records(&applied(&there, &back));
    assert_eq!(again[0]["command"], first[0]["command"]);
    assert_eq!(again[0]["expected_version"], 3);
    assert_ne!(again[0]["envelope"]["idempotency_key"], first[0]["envelope"]["idempotency_key"]);
}

#[test]
fn what_is_emptied_is_cleared_by_the_command() {
    let settings = json!({ "clear": ["email", "phone"], "name": "Cafe" });
    let file = json!({ "merchant_id": "cafe", "settings": settings });
    let found = against(&cafe(), &file).expect("it is right");
    let commands: Vec<&Value> = found.changes.iter().map(|change| &change.command).collect();
    assert_eq!(commands, [&json!({ "type": "settings", "clear": ["email"], "name": "Cafe" })]);
    assert!(against(&applied(&cafe(), &file), &file).expect("it is right").changes.is_empty());
}

#[test]
fn a_file_of_another_version_is_a_conflict_only_where_it_changes_something() {
    let conflicts = |settings: Value, days: i64| -> Vec<String> {
        let mut file = json!({ "merchant_id": "cafe", "settings": settings, "units": [points(json!(days))] });
        file["versions"] = json!({ "settings": 0, "units": { "points": 1 } });
        let found = against(&cafe(), &file).expect("it is right");
        found.changes.iter().filter_map(Change::conflict).collect()
    };
    let told = conflicts(json!({ "time_zone": "UTC" }), 365);
    assert_eq!(told, ["settings: the file was made for version 0, and version 1 is in force now"]);
    assert_eq!(conflicts(json!({ "time_zone": "Europe/Berlin" }), 365), Vec::<String>::new());
}

#[test]
fn what_is_written_says_all_that_the_merchant_has() {
    let config = cafe();
    let merchant = MerchantId::new("cafe");
    let text = written(&merchant, &config, hours(0)).expect("it can be written");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(file["settings"], json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }));
    assert_eq!(file["versions"], json!({ "settings": 1, "units": { "gift": 1, "points": 1 } }));
    assert!(text.find("unit_id") < text.find("expiry_days"), "the schema's order: {text}");
    let found = against(&config, &file).expect("it is right");
    assert!(found.changes.is_empty() && found.left_alone.is_empty(), "{found:?}");
    assert_eq!(applied(&MerchantConfig::default(), &file), config);
}

/// Tiers come before what names them, and all else after the units.
#[test]
fn objects_are_compared_sent_and_written_as_units_are() {
    let file = json!({
        "merchant_id": "cafe",
        "settings": { "base_tier_id": "tin" },
        "units": [points(json!(180))],
        "tiers": [{ "tier_id": "tin", "name": "Tin" }],
        "cards": [{ "card_id": "coffee", "name": "Coffee", "stamps_required": 10 }],
        "programmes": [{ "programme_id": "club", "name": "Club", "unit_id": "points", "tier_ids": ["tin"] }],
    });
    let found = against(&MerchantConfig::default(), &file).expect("it is right");
    let objects: Vec<String> = found.changes.iter().map(Change::object).collect();
    assert_eq!(objects, ["tier tin", "settings", "unit points", "card coffee", "programme club"]);
    let config = applied(&MerchantConfig::default(), &file);
    let text = written(&MerchantId::new("cafe"), &config, hours(0)).expect("it can be written");
    let mut written: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(written["versions"]["cards"], json!({ "coffee": 1 }));
    let found = against(&config, &written).expect("it is right");
    assert!(found.changes.is_empty() && found.left_alone.is_empty(), "{found:?}");

    written["cards"][0]["initial_stamps"] = json!(2);
    let found = against(&config, &written).expect("it is right");
    assert_eq!(found.changes[0].lines, ["card coffee.initial_stamps: 0 -> 2"]);
    assert_eq!(found.changes[0].command["type"], "card");
    let made = applied(&config, &written);
    written["versions"]["cards"]["coffee"] = json!(1);
    written["cards"][0]["initial_stamps"] = json!(3);
    let conflicts: Vec<String> =
        against(&made, &written).expect("it is right").changes.iter().filter_map(Change::conflict).collect();
    assert_eq!(conflicts, ["card coffee: the file was made for version 1, and version 2 is in force now"]);

    let found = against(&config, &json!({ "merchant_id": "cafe" })).expect("it is right");
    let left = ["settings.base_tier_id", "unit points", "tier tin", "card coffee", "programme club"];
    assert_eq!(found.left_alone, left);
    let twice =
        json!({ "merchant_id": "cafe", "tiers": [{ "tier_id": "a", "name": "A" }, { "tier_id": "a", "name": "B" }] });
    let wrong = against(&config, &twice).expect_err("it is there twice");
    assert!(wrong.to_string().contains("tiers[1].tier_id: a is there twice"), "{wrong}");
}

#[test]
fn a_merchants_first_settings_need_no_fields() {
    let file = json!({ "merchant_id": "cafe", "settings": {} });
    let lines = |config: &MerchantConfig| -> Vec<String> {
        let found = against(config, &file).expect("it is right");
        found.changes.into_iter().flat_map(|change| change.lines).collect()
    };
    assert_eq!(lines(&MerchantConfig::default()), ["settings: new"]);
    let units = json!({ "merchant_id": "cafe", "units": [points(json!(1))] });
    assert_eq!(lines(&applied(&MerchantConfig::default(), &units)), Vec::<String>::new());
}

/// The difference is to what is in force, whatever comes later, and so is what is written.
#[test]
fn what_is_scheduled_is_neither_brought_forward_nor_lost() {
    let mut config = cafe();
    let first = config.settings_at(hours(0)).expect("settings").content.clone();
    let later = |content| Arc::new(Version { version: 2, effective_from: hours(1), recorded_at: hours(-1), content });
    let settings = Version {
        version: 2,
        effective_from: hours(1),
        recorded_at: hours(-1),
        content: Settings { time_zone: Zone::named("Europe/Paris"), ..first },
    };
    assert!(config.push(ConfigObject::Settings(String::new(), Arc::new(settings))));
    let points = config.at::<Unit>("points", hours(0)).expect("a unit").content.clone();
    assert!(config.push(ConfigObject::Unit("points".to_owned(), later(Unit { step: 5, ..points }))));

    let text = written(&MerchantId::new("cafe"), &config, hours(0)).expect("it can be written");
    let mut file: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(file["settings"], json!({ "email": "hello@cafe.example", "time_zone": "Europe/Berlin" }));
    assert_eq!(file["versions"], json!({ "settings": 1, "units": { "gift": 1, "points": 1 } }));
    let found = against(&config, &file).expect("it is right");
    assert!(found.changes.is_empty(), "{found:?}");
    assert_eq!(found.scheduled, ["settings from 2026-01-10T13:00:00Z", "unit points from 2026-01-10T13:00:00Z"]);

    file["settings"]["name"] = json!("Cafe");
    let found = against(&config, &file).expect("it is right");
    let records: Vec<Value> = found
        .changes
        .iter()
        .map(|change| serde_json::from_slice(&change.record(&MerchantId::new("cafe"))).expect("JSON"))
        .collect();
    assert_eq!(found.changes.iter().filter_map(Change::conflict).count(), 0);
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["command"]["name"], &records[0]["expected_version"]), (&json!("Cafe"), &json!(2)));
    let made = applied(&config, &file);
    let at = |time: Instant| made.settings_at(time).expect("settings");
    let names = [hours(-1), hours(0), hours(1)].map(|time| (at(time).name.as_deref(), at(time).time_zone.name()));
    assert_eq!(names, [(None, "Europe/Berlin"), (Some("Cafe"), "Europe/Berlin"), (Some("Cafe"), "Europe/Paris")]);

    // It has come into force since the file was made.
    let found = difference(&document(&file), &config, hours(1), &decoder()).expect("it is right");
    let conflicts: Vec<String> = found.changes.iter().filter_map(Change::conflict).collect();
    assert!(conflicts[0].contains("made for version 1, and version 2 is in force"), "{conflicts:?}");
}
