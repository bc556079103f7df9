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
