//! A merchant's configuration as a file: `config export` and `config apply`.

use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::commands::Shop;
use crate::support::installation::Done;
use crate::support::{Installation, eventually};

#[test]
fn an_edited_export_changes_what_was_edited_and_nothing_else() {
    let installation = Installation::new("merchant-file");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let merchant = shop.merchant;
    let unknown = installation.call(&["config", "export", merchant]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains(merchant), "{}", unknown.stderr);
    configure(&mut shop, "1", json!({ "type": "settings", "name": "Aurora", "match_by": ["phone", "email"] }));
    configure(&mut shop, "2", json!({ "type": "unit", "unit_id": "points", "name": "Points", "expiry_days": 180 }));
    let gift = json!({ "type": "unit", "unit_id": "gift", "name": "Gift", "kind": "money", "currency": "EUR" });
    configure(&mut shop, "3", gift);

    let first = export(&installation, merchant);
    let unit = |id: &str, name: &str, kind: &str, currency: Value, expiry_days: Value| {
        json!({
            "unit_id": id, "name": name, "scale": 0, "expiry_days": expiry_days, "min_held": 0, "min_amount": 1,
            "description": null, "kind": kind, "currency": currency, "brand_id": null, "value": null,
            "rounding": "floor", "step": 1, "attributes": {},
        })
    };
    let (gift, points) = (
        unit("gift", "Gift", "money", json!("EUR"), Value::Null),
        unit("points", "Points", "points", Value::Null, json!(180)),
    );
    assert_eq!(
        first,
        json!({
            "merchant_id": merchant,
            "settings": { "name": "Aurora", "match_by": ["phone", "email"] },
            "units": [gift, points],
            "versions": { "settings": 1, "units": { "gift": 1, "points": 1 } },
        })
    );
    assert_eq!(must(&apply(&installation, &first, &[])), ["Nothing to do."]);

    let mut edited = first.clone();
    edited["settings"]["time_zone"] = json!("Europe/Berlin");
    edited["settings"].as_object_mut().expect("settings").remove("name");
    edited["units"][1]["expiry_days"] = json!(365);
    edited["units"][1]["attributes"] = json!({ "colour": "red" });
    edited["units"][0] = unit("stars", "Stars", "points", Value::Null, Value::Null);
    let told = [
        "settings.time_zone: UTC -> Europe/Berlin",
        "unit stars: new",
        "unit points.attributes: {} -> {\"colour\":\"red\"}",
        "unit points.expiry_days: 180 -> 365",
        "Left alone, since the file does not name it: settings.name, unit gift",
    ];
    let dry = must(&apply(&installation, &edited, &["--dry-run"]));
    assert_eq!(dry, [&told[..], &["Nothing was sent."]].concat());
    assert_eq!(export(&installation, merchant), first);

    let applied = must(&apply(&installation, &edited, &[]));
    let answers = ["settings: updated, version 2", "unit stars: created, version 1", "unit points: updated, version 2"];
    assert_eq!(applied, [&told[..], &answers].concat());
    let after = export(&installation, merchant);
    assert_eq!(after["versions"], json!({ "settings": 2, "units": { "gift": 1, "points": 2, "stars": 1 } }));
    let settings = json!({ "name": "Aurora", "match_by": ["phone", "email"], "time_zone": "Europe/Berlin" });
    assert_eq!(after["settings"], settings);
    assert_eq!(after["units"], json!([gift, edited["units"][1], edited["units"][0]]));

    // The file is of versions that are no more, and has nothing left to change.
    let again = must(&apply(&installation, &edited, &[]));
    assert_eq!(again, [told[4], "Nothing to do."]);
    assert_eq!(must(&apply(&installation, &after, &[])), ["Nothing to do."]);

    // Three by hand and three by the file: all else has sent nothing.
    let sent = installation.must(&["tail", "results", "--from-beginning", "--merchant", merchant]);
    assert_eq!(sent.lines().count(), 6, "{sent}");
    assert_eq!(sent.matches("\"source\":\"config-apply\"").count(), 6, "in header and value: {sent}");
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn a_file_makes_another_merchant_the_same() {
    let installation = Installation::new("merchant-copy");
    let worker = installation.worker();
    let (merchant, other) = (Shop::of_lane(&installation, 0).merchant, Shop::of_lane(&installation, 1).merchant);
    let file = json!({
        "merchant_id": merchant,
        "settings": {
            "preset": "stamp_cards", "status": "active", "email": "hello@cafe.example", "social": { "web": "cafe.example" },
        },
        "units": [{ "unit_id": "stamps", "name": "Stamps", "value": { "numerator": 1, "denominator": 10, "currency": "EUR" } }],
    });
    must(&apply(&installation, &file, &[]));
    let mut copy = export(&installation, merchant);
    assert_eq!(
        copy["settings"],
        json!({
            "match_by": ["email", "phone"], "on_match": "reject", "required_fields": ["first_name"],
            "email": "hello@cafe.example", "social": { "web": "cafe.example" },
        })
    );
    assert_eq!(copy["units"][0]["value"], file["units"][0]["value"]);
    copy["merchant_id"] = json!(other);
    let conflict = apply(&installation, &copy, &[]);
    assert_eq!(conflict.code, Some(1), "it is of versions that the other merchant has not: {}", conflict.stderr);
    copy.as_object_mut().expect("a document").remove("versions");
    must(&apply(&installation, &copy, &[]));
    assert_eq!(without_versions(export(&installation, other)), copy);

    // What the copy should not have is emptied by name.
    let emptied = json!({ "merchant_id": other, "settings": { "clear": ["email"] } });
    let told = must(&apply(&installation, &emptied, &[]));
    assert_eq!(told[0], "settings.email: hello@cafe.example -> null");
    assert!(told.contains(&"settings: updated, version 2".to_owned()), "{told:?}");
    copy["settings"].as_object_mut().expect("settings").remove("email");
    assert_eq!(without_versions(export(&installation, other)), copy);
    assert_eq!(must(&apply(&installation, &emptied, &[])).last().map(String::as_str), Some("Nothing to do."));
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn what_somebody_else_has_changed_is_not_overwritten() {
    let installation = Installation::new("merchant-conflict");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let merchant = shop.merchant;
    configure(&mut shop, "1", json!({ "type": "unit", "unit_id": "points", "name": "Points" }));

    // Before the difference is made: the file says which versions it is of.
    let mut file = export(&installation, merchant);
    configure(&mut shop, "2", json!({ "type": "unit", "unit_id": "points", "name": "Dots" }));
    file["units"][0]["min_amount"] = json!(10);
    let refused = apply(&installation, &file, &[]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let sentence = "unit points: the file was made for version 1, and version 2 is in force now";
    assert!(refused.stderr.contains(sentence), "{}", refused.stderr);
    assert!(refused.stdout.contains("unit points.name: Dots -> Points"), "{}", refused.stdout);
    file.as_object_mut().expect("a document").remove("versions");
    assert!(must(&apply(&installation, &file, &[])).contains(&"unit points: updated, version 3".to_owned()));

    // After it: the worker says it.
    worker.finish();
    let name = shop.command("4", None, json!({ "type": "unit", "unit_id": "points", "name": "Stars" }));
    shop.send("merchant-config", &name);
    file["units"][0]["step"] = json!(5);
    let (refused, worker) = std::thread::scope(|scope| {
        let applying = scope.spawn(|| apply(&installation, &file, &["--wait", "150"]));
        eventually("both commands wait for a worker", || (waiting(&installation) == 2).then_some(()));
        let worker = installation.worker();
        (applying.join().expect("it ends"), worker)
    });
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("unit points: rejected, version_conflict:"), "{}", refused.stderr);
    assert_eq!(export(&installation, merchant)["units"][0]["name"], "Stars");
    let again = must(&apply(&installation, &file, &[]));
    assert!(again.contains(&"unit points.name: Stars -> Points".to_owned()), "{again:?}");
    assert_eq!(export(&installation, merchant)["versions"]["units"]["points"], 5);
    worker.finish();
    installation.assert_audit_holds();
}

/// A file changes what is in force, and what is scheduled still comes.
#[test]
fn a_schedule_outlasts_what_a_file_changes() {
    let installation = Installation::new("merchant-schedule");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let merchant = shop.merchant;
    configure(&mut shop, "1", json!({ "type": "settings", "name": "Aurora" }));
    let mut later = shop.command("2", None, json!({ "type": "settings", "time_zone": "Europe/Berlin" }));
    later["effective_from"] = json!("2099-01-01T00:00:00Z");
    assert_eq!(shop.ask("merchant-config", &later)["config_version"], 2);

    let mut file = export(&installation, merchant);
    assert_eq!((&file["settings"], &file["versions"]["settings"]), (&json!({ "name": "Aurora" }), &json!(1)));
    let still = "Still to come, as it was scheduled: settings from 2099-01-01T00:00:00Z";
    assert_eq!(must(&apply(&installation, &file, &[])), [still, "Nothing to do."]);
    file["settings"]["name"] = json!("Borealis");
    let told = ["settings.name: Aurora -> Borealis", still, "settings: updated, version 4"];
    assert_eq!(must(&apply(&installation, &file, &[])), told);
    assert_eq!(export(&installation, merchant)["versions"]["settings"], 3);
    let versions = installation.database().rows("select content ->> 'time_zone', content ->> 'name' from config_version where kind = 'settings' order by version");
    let versions: Vec<(String, String)> = versions.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = [("UTC", "Aurora"), ("Europe/Berlin", "Aurora"), ("UTC", "Borealis"), ("Europe/Berlin", "Borealis")];
    assert_eq!(versions, expected.map(|(zone, name)| (zone.to_owned(), name.to_owned())));

    // About the time when it comes, nobody knows what will be in force when the broker has the command.
    let soon = Timestamp::from_second(Timestamp::now().as_second() + 120).expect("an instant");
    let mut later = shop.command("3", None, json!({ "type": "settings", "time_zone": "Europe/Paris" }));
    later["effective_from"] = json!(soon.to_string());
    assert_eq!(shop.ask("merchant-config", &later)["status"], "accepted");
    file["versions"]["settings"] = json!(3);
    file["settings"]["name"] = json!("Aurora");
    let refused = apply(&installation, &file, &[]);
    assert!(refused.code == Some(1) && refused.stderr.contains("comes into force about now"), "{}", refused.stderr);
    worker.finish();
    installation.assert_audit_holds();
}

/// Interrupted before the results came, and started again: the same commands.
#[test]
fn a_file_that_is_applied_twice_changes_things_once() {
    let installation = Installation::new("merchant-twice");
    let merchant = Shop::of_lane(&installation, 0).merchant;
    let file = json!({ "merchant_id": merchant, "units": [{ "unit_id": "points", "name": "Points" }] });
    for _ in 0..2 {
        let unanswered = apply(&installation, &file, &["--wait", "0"]);
        assert!(unanswered.code == Some(1) && unanswered.stderr.contains("unit points"), "{}", unanswered.stderr);
    }
    let worker = installation.worker();
    let results = eventually("both are answered", || {
        let results = installation.must(&["tail", "results", "--from-beginning", "--merchant", merchant]);
        (results.lines().count() == 2).then_some(results)
    });
    let results: Vec<Value> = results.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let told: Vec<(&Value, &Value)> =
        results.iter().map(|line| (&line["value"]["effect"], &line["value"]["duplicate"])).collect();
    assert_eq!(told, [(&json!("created"), &json!(false)), (&json!("created"), &json!(true))]);
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn a_file_that_is_not_right_is_refused_whole() {
    let installation = Installation::new("merchant-wrong");
    let merchant = Shop::of_lane(&installation, 0).merchant;
    let points = json!({ "unit_id": "points", "name": "Points" });
    let with = |field: &str, value: Value| {
        let mut file = json!({ "merchant_id": merchant, "settings": {}, "units": [points] });
        file[field] = value;
        file
    };
    let cases = [
        (with("settings", json!({ "tme_zone": "UTC" })), "settings.tme_zone"),
        (with("settings", json!({ "max_age_s": -1 })), "settings.max_age_s"),
        (with("units", json!([points, { "unit_id": "stars", "name": "Stars", "expiry": 3 }])), "units[1].expiry"),
        (with("unit", json!([])), "unknown field `unit`"),
        (with("versions", json!({ "setting": 1 })), "unknown field `setting`"),
        (with("merchant_id", json!("m".repeat(65))), "merchant_id"),
    ];
    for (file, named) in cases {
        let refused = apply(&installation, &file, &[]);
        assert_eq!(refused.code, Some(2), "{file}: {}", refused.stderr);
        assert!(refused.stderr.contains(named), "{file}: {}", refused.stderr);
    }
    let missing = installation.call(&["config", "apply", "no-such-file.json"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("no-such-file.json"), "{}", missing.stderr);
    assert_eq!(waiting(&installation), 0);
}

fn configure(shop: &mut Shop, key: &str, command: Value) {
    let command = shop.command(key, None, command);
    let result = shop.ask("merchant-config", &command);
    assert_eq!(result["status"], "accepted", "{result}");
}

fn export(installation: &Installation, merchant: &str) -> Value {
    serde_json::from_str(&installation.must(&["config", "export", merchant])).expect("one JSON document")
}

fn without_versions(mut file: Value) -> Value {
    file.as_object_mut().expect("a document").remove("versions");
    file
}

fn apply(installation: &Installation, file: &Value, options: &[&str]) -> Done {
    let path = installation.folder().join("merchant.json");
    fs::write(&path, file.to_string()).expect("written");
    installation.call(&[&["config", "apply", path.to_str().expect("a path")], options].concat())
}

/// What it printed, line by line.
fn must(done: &Done) -> Vec<String> {
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    done.stdout.lines().map(str::to_owned).collect()
}

/// Commands of merchants' configuration that no worker has applied.
fn waiting(installation: &Installation) -> i64 {
    let lanes: Vec<Value> = serde_json::from_str(&installation.must(&["lanes", "--json"])).expect("JSON");
    lanes.iter().filter_map(|lane| lane["waiting_records"]["merchant-config"].as_i64()).sum()
}
