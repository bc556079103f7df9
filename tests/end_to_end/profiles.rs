//! The whole of a customer, from a sender's JSON through Postgres to what everybody reads; and what operators ask of the books.

use serde_json::{Value, json};

use crate::support::Installation;
use crate::support::commands::Shop;
use crate::support::published::{Published, Record};

#[test]
fn a_profile_goes_through_whole() {
    let installation = Installation::new("profile");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let settings = json!({
        "type": "settings", "preset": "masivo", "on_match": "fill_missing", "phone_format": "any", "email": "shop@example.com",
        "social": {"web": "https://shop.example"}, "required_fields": ["name"],
    });
    let configured = shop.ask("merchant-config", &shop.command("settings", None, settings));
    assert_eq!((&configured["effect"], &configured["config_version"]), (&json!("created"), &json!(1)), "{configured}");
    let stale = json!({ "type": "settings", "name": "Shop" });
    let mut stale = shop.command("stale", None, stale);
    stale["expected_version"] = json!(0);
    assert_eq!(shop.ask("merchant-config", &stale)["rejection"]["code"], "version_conflict");

    let profile = json!({
        "external_id": "c-1", "name": "Ada King", "phone": "0151 / 23", "birth_date": "1995-06-15T00:00:00.000Z",
        "registered_on": "2023-11-07T05:31:56Z", "gender": "female", "language": "EN-gb", "brand_id": "north",
        "metrics": {"visits": {"value": 1276, "scale": 1}}, "metadata": {"shoe": "43 ½", "\"": "\\"},
        "notify_email": true, "source_version": 4,
    });
    let created = shop.ask("customer-upsert", &shop.command("hello", None, profile.clone()));
    assert_eq!(created["effect"], "created", "{created}");
    let of_customer = |record: &Record| record.json["customer_id"] == created["customer_id"];
    let mut states = Published::of(&installation, &["customers"]);
    let state = states.await_record("its state", of_customer).json;
    let expected = json!({
        "external_id": "c-1", "name": "Ada King", "phone": "0151 / 23", "birth_date": "1995-06-15", "registered_on": "2023-11-07",
        "gender": "female", "language": "en-GB", "brand_id": "north", "metrics": {"visits": {"value": 1276, "scale": 1}},
        "metadata": {"shoe": "43 ½", "\"": "\\"}, "notify_email": true, "notify_phone": false, "source_version": 4,
        "status": "active", "version": 1, "first_name": null,
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&state[field], value, "{field} of {state}");
    }
    let mut events = Published::of(&installation, &["events"]);
    let event = events.await_record("customer.created", of_customer);
    assert_eq!(
        (&event.json["notify"]["name"], &event.json["notify"]["language"]),
        (&json!("Ada King"), &json!("en-GB"))
    );
    assert_eq!(event.headers["ce_type"], "customer.created");
    assert_eq!(event.headers["ce_source"], format!("/merchants/{}", shop.merchant));

    // As the merchant has it, what is there stays; a sender may say otherwise.
    let again = json!({ "external_id": "c-1", "name": "Eve", "email": "ada@example.com" });
    assert_eq!(shop.ask("customer-upsert", &shop.command("fill", None, again))["effect"], "updated");
    let kept = json!({ "external_id": "c-1", "name": "Eve", "on_match": "keep" });
    assert_eq!(shop.ask("customer-upsert", &shop.command("keep", None, kept))["effect"], "kept");
    let cleared = json!({
        "mode": "update", "external_id": "c-1", "clear": ["phone", "gender"], "metadata": {"shoe": null}, "metrics": {"visits": null},
    });
    assert_eq!(shop.ask("customer-upsert", &shop.command("clear", None, cleared))["customer_version"], 3);
    let wrong = json!({ "external_id": "c-2", "language": "no tag", "clear": ["email"], "email": "x", "metrics": {"m": {"value": 1, "scale": 9}} });
    let wrong = shop.ask("customer-upsert", &shop.command("wrong", None, wrong));
    let fields: Vec<&Value> =
        wrong["rejection"]["fields"].as_array().expect("fields").iter().map(|bad| &bad["field"]).collect();
    assert_eq!(
        fields,
        ["command.email", "command.language", "command.metrics.m.scale", "command.email", "command.name"]
    );

    // After a restart the same is read back from Postgres.
    worker.finish();
    let worker = installation.worker();
    let unchanged = json!({ "mode": "update", "external_id": "c-1", "name": "Ada King", "metadata": {"\"": "\\"} });
    assert_eq!(shop.ask("customer-upsert", &shop.command("same", None, unchanged))["effect"], "unchanged");
    let shown = installation.must(&["customer", shop.merchant, "external_id:c-1", "--json"]);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let customer = if shown["customer"].is_object() { &shown["customer"] } else { &shown };
    assert_eq!(
        (&customer["phone"], &customer["gender"], &customer["metrics"]),
        (&json!(null), &json!(null), &json!({}))
    );
    assert_eq!((&customer["metadata"], &customer["language"]), (&json!({"\"": "\\"}), &json!("en-GB")));
    worker.finish();
    installation.assert_audit_holds();
}

#[test]
fn a_command_is_explained_and_the_books_are_added_up() {
    let installation = Installation::new("books");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    for (key, amount) in [("order-1", 100), ("order-2", 50)] {
        assert_eq!(shop.ask("credit", &shop.credit(key, "ada", amount))["status"], "accepted");
    }
    assert_eq!(shop.ask("redeem", &shop.redeem("spend", "ada", 120))["status"], "accepted");
    let refused = shop.ask("redeem", &shop.redeem("too-much", "ada", 31));
    assert_eq!(refused["rejection"]["code"], "insufficient_points");

    let explained = |key: &str| -> Value {
        let explained = installation.must(&["customer", shop.merchant, "--explain", key, "--json"]);
        serde_json::from_str(&explained).expect("JSON")
    };
    let spent = explained("spend");
    assert_eq!((&spent["status"], &spent["command"]["topic"]), (&json!("accepted"), &json!("redeem")), "{spent}");
    let entry = &spent["entries"][0];
    assert_eq!(
        (&entry["kind"], &entry["amount"], &entry["unit_version"]),
        (&json!("redeem_amount"), &json!(120), &json!(1))
    );
    // The older lot is gone, of the younger 30 are left.
    let lots: Vec<(&Value, &Value)> =
        entry["lots"].as_array().expect("lots").iter().map(|lot| (&lot["amount"], &lot["remaining"])).collect();
    assert_eq!(lots, [(&json!(100), &json!(0)), (&json!(20), &json!(30))]);
    let too_much = explained("too-much");
    assert_eq!((&too_much["rejection"]["code"], &too_much["entries"]), (&json!("insufficient_points"), &json!([])));
    assert_eq!(too_much["rejection"]["detail"]["available"], "30", "{too_much}");
    let page = installation.must(&["customer", shop.merchant, "--explain", "spend"]);
    assert!(page.contains("redeem_amount -120 points, balance 30 after it"), "{page}");
    let unknown = installation.call(&["customer", shop.merchant, "--explain", "never-sent"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("has been decided"), "{}", unknown.stderr);

    let books = installation.must(&["trial-balance", shop.merchant, "--json"]);
    let books: Value = serde_json::from_str(&books).expect("one line");
    let expected = json!({
        "merchant_id": shop.merchant, "unit": "points", "customers": 1, "entries": 3, "earned": "150", "redeemed": "120",
        "expired": "0", "outstanding": "30", "in_lots": "30", "holds": true,
    });
    assert_eq!(books, expected);
    worker.finish();

    // Somebody helps themselves.
    let account =
        "update customer set accounts = overlay(accounts placing decode('00000000000003e7', 'hex') from 25 for 8)";
    installation.database().execute(account);
    let refuted = installation.call(&["trial-balance"]);
    assert_eq!(refuted.code, Some(3), "{}", refuted.stdout);
    assert!(refuted.stdout.contains("DOES NOT HOLD") && refuted.stdout.contains("999"), "{}", refuted.stdout);
}

#[test]
fn everything_that_is_wrong_with_a_command_is_named_at_once() {
    let installation = Installation::new("all-wrong");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    let mut upsert = shop.command(
        "wrong",
        None,
        json!({
            "external_id": 17, "email": "<ada@example.com>", "phone": "+49 (0) 209 223344", "first_name": " ", "last_name": "a\u{1b}[2J",
            "birth_date": "yesterday", "active": "yes", "metadata": {"k": 1}, "colour": "red",
        }),
    );
    upsert["envelope"]["source"] = json!("\t");
    let rejection = shop.ask("customer-upsert", &upsert)["rejection"].clone();
    assert_eq!(rejection["code"], "invalid_fields", "{rejection}");
    let mut named: Vec<&str> =
        rejection["fields"].as_array().expect("fields").iter().filter_map(|bad| bad["field"].as_str()).collect();
    named.sort_unstable();
    let expected = [
        "command.active",
        "command.birth_date",
        "command.colour",
        "command.email",
        "command.external_id",
        "command.first_name",
        "command.last_name",
        "command.metadata.k",
        "command.phone",
        "envelope.source",
    ];
    assert_eq!(named, expected);

    // A text in the place of a number, in the one field that is asked for before all others.
    let mut keyless = shop.customer("x", "eve");
    keyless["envelope"]["idempotency_key"] = json!(17);
    let rejection = shop.ask("customer-upsert", &keyless)["rejection"].clone();
    assert_eq!(
        (&rejection["code"], &rejection["message"]),
        (&json!("invalid_idempotency_key"), &json!("idempotency_key must be a text."))
    );
    worker.finish();
    installation.assert_audit_holds();
}

/// What stands for a field that could not be read is never judged.
#[test]
fn a_wrong_field_makes_no_other_field_wrong() {
    let installation = Installation::new("one-wrong");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.open("ada");
    let mut keys = 0..;
    let mut named = |topic: &str, command: Value| -> Vec<String> {
        let key = format!("wrong-{:?}", keys.next());
        let rejection = shop.ask(topic, &shop.command(&key, None, command))["rejection"].clone();
        assert_eq!(rejection["code"], "invalid_fields", "{rejection}");
        let fields = rejection["fields"].as_array().expect("fields").iter();
        fields.map(|bad| bad["field"].as_str().expect("a path").to_owned()).collect()
    };
    let unit = json!({ "type": "unit", "unit_id": "cash", "name": "Cash", "kind": "gold", "currency": "EUR", "step": i64::MIN });
    assert_eq!(named("merchant-config", unit), ["command.kind", "command.step"]);
    let rewards =
        json!([{ "reward_id": "a", "name": "A", "stamps": 7 }, { "reward_id": 1, "name": "B", "stamps": "x" }]);
    let card = json!({
        "type": "card", "card_id": "coffee", "name": "Coffee", "stamps_required": "ten", "initial_stamps": 5, "rewards": rewards,
    });
    let of_rewards = ["command.rewards[1].reward_id", "command.rewards[1].stamps"];
    assert_eq!(named("merchant-config", card), ["command.stamps_required", of_rewards[0], of_rewards[1]]);
    let settings = json!({ "type": "settings", "name": "Shop", "clear": ["nothing"], "match_by": ["fax", "fax"] });
    let mut of_settings = named("merchant-config", settings);
    of_settings.sort_unstable();
    assert_eq!(of_settings, ["command.clear[0]", "command.match_by[0]", "command.match_by[1]"]);
    let upsert = json!({ "first_name": "Ada", "mode": "replace" });
    assert_eq!(named("customer-upsert", upsert), ["command.mode"]);
    worker.finish();
    installation.assert_audit_holds();
}

/// How a sender writes an identifier makes no other command, and a merchant's other form of phones makes no other customer.
#[test]
fn an_identifier_is_the_same_however_it_is_written() {
    let installation = Installation::new("same-identifier");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    shop.ask("merchant-config", &shop.points("points"));
    let upsert = |phone: &str, email: &str| json!({ "phone": phone, "email": email, "external_id": "ada" });
    let first = shop.ask("customer-upsert", &shop.command("k", None, upsert("+49 151 1234567", "Ada@Example.com")));
    assert_eq!(first["effect"], "created", "{first}");
    let again = shop.ask("customer-upsert", &shop.command("k", None, upsert("+491511234567", "ada@example.COM ")));
    assert_eq!(again["duplicate"], true, "{again}");

    let any = json!({ "type": "settings", "phone_format": "any" });
    assert_eq!(shop.ask("merchant-config", &shop.command("any", None, any))["status"], "accepted");
    let mut credit = shop.credit("by-phone", "ada", 5);
    credit["envelope"]["customer"] = json!({ "kind": "phone", "value": "+49 151 1234567" });
    let result = shop.ask("credit", &credit);
    assert_eq!((&result["status"], &result["customer_id"]), (&json!("accepted"), &first["customer_id"]), "{result}");
    let found = shop.ask("customer-upsert", &shop.command("found", None, json!({ "phone": "+49 151 1234567" })));
    assert_eq!(found["customer_id"], first["customer_id"], "{found}");

    // The usual "never", in both encodings the same instant; the audit reads it.
    let mut forever = shop.credit("forever", "ada", 5);
    forever["command"]["expires_at"] = json!("9999-12-31T00:00:00Z");
    assert_eq!(shop.ask("credit", &forever)["status"], "accepted");
    forever["envelope"]["idempotency_key"] = json!("too-far");
    forever["command"]["expires_at"] = json!("9999-12-31T23:59:59-00:01");
    assert_eq!(shop.ask("credit", &forever)["rejection"]["fields"][0]["field"], "command.expires_at");
    let order = |key: &str, order: &str| {
        let mut credit = shop.credit(key, "ada", 5);
        credit["command"]["order_id"] = json!(order);
        credit
    };
    let (once, twice) = (order("order", "1001"), order("order-again", "1001 "));
    assert_eq!(shop.ask("credit", &once)["status"], "accepted");
    assert_eq!(shop.ask("credit", &twice)["rejection"]["code"], "duplicate_order");
    worker.finish();
    installation.assert_audit_holds();
}
