//! Stamp cards, tiers and programmes, from a sender's JSON through Postgres to what everybody reads, and back from nothing.

use serde_json::{Value, json};

use crate::recover::from_nothing;
use crate::support::Installation;
use crate::support::commands::Shop;
use crate::support::published::{Published, Record};

#[test]
fn who_joins_is_welcomed_and_found_by_the_card() {
    let installation = Installation::new("membership");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let configuration = [
        json!({ "type": "unit", "unit_id": "points", "name": "Points", "expiry_days": 1 }),
        json!({ "type": "tier", "tier_id": "gold", "name": "Gold", "rank": 9, "benefits": { "lounge": "yes" } }),
        json!({ "type": "tier", "tier_id": "tin", "name": "Tin", "rank": 1 }),
        json!({ "type": "programme", "programme_id": "club", "name": "Club", "unit_id": "points", "tier_ids": ["gold", "tin"] }),
        json!({ "type": "card", "card_id": "coffee", "name": "Coffee", "stamps_required": 5, "initial_stamps": 1,
                "rewards": [{ "reward_id": "sip", "name": "A sip", "stamps": 1 }] }),
        json!({ "type": "settings", "wallet_url_google": "https://w.example/{card_id}?c={code}",
                "max_age_s": 10 * 24 * 60 * 60 }),
    ];
    for (number, command) in configuration.into_iter().enumerate() {
        let answer = shop.ask("merchant-config", &shop.command(&format!("config-{number}"), None, command));
        assert_eq!((&answer["effect"], &answer["config_version"]), (&json!("created"), &json!(1)), "{answer}");
    }

    let join = json!({ "external_id": "ada", "card_id": "coffee", "send_card_links": true });
    let joined = shop.ask("customer-upsert", &shop.command("join", None, join.clone()));
    let card = &joined["cards"][0];
    let code = card["code"].as_str().unwrap_or_else(|| panic!("no code in {joined}"));
    assert_eq!(card["google_wallet_url"], format!("https://w.example/coffee?c={code}"));
    assert_eq!((&card["stamps"], &card["rewards"][0]["reached"]), (&json!(1), &json!(true)), "{joined}");
    assert_eq!((&joined["tier_id"], &joined["balances"][0]["unit"]), (&json!("tin"), &json!("coffee")), "{joined}");
    let again = shop.ask("customer-upsert", &shop.command("join", None, join));
    assert_eq!((&again["duplicate"], &again["transactions"]), (&json!(true), &joined["transactions"]), "{again}");

    let by_card = |key: &str, code: &str, occurred_at: Value| {
        let mut command = shop.command(key, None, json!({ "type": "amount", "unit": "points", "amount": 5 }));
        command["envelope"]["customer"] = json!({ "kind": "card_code", "value": code });
        command["envelope"]["occurred_at"] = occurred_at;
        command
    };
    let typed = code.to_lowercase();
    let (found, nobody) =
        (by_card("scan", &typed, json!(null)), by_card("scan-2", &format!("{}9", &code[..27]), json!(null)));
    assert_eq!(shop.ask("credit", &found)["customer_id"], joined["customer_id"]);
    assert_eq!(shop.ask("credit", &nobody)["rejection"]["code"], "unknown_customer");

    let friend = json!({ "external_id": "bo", "referral_code": code, "tier_id": "gold" });
    let friend = shop.ask("customer-upsert", &shop.command("friend", None, friend));
    assert_eq!((&friend["effect"], &friend["tier_id"]), (&json!("created"), &json!("gold")), "{friend}");
    let promoted =
        shop.ask("customer-upsert", &shop.command("up", None, json!({ "external_id": "ada", "tier_id": "gold" })));
    assert_eq!((&promoted["effect"], &promoted["customer_version"]), (&json!("updated"), &json!(3)), "{promoted}");

    let mut events = Published::of(&installation, &["events"]);
    let event = |kind: &'static str| move |record: &Record| record.json["type"] == kind;
    let enrolled = events.await_record("card.enrolled", event("card.enrolled")).json;
    assert_eq!((&enrolled["card"], &enrolled["send_card_links"]), (card, &json!(true)));
    let changed = events.await_record("tier.changed", event("tier.changed")).json;
    assert_eq!(changed["tier"], json!({ "from": "tin", "to": "gold", "reason": "manual" }));

    // A worker that has read nothing of the merchant yet tells all of a customer whom a credit changes.
    worker.finish();
    let worker = installation.worker();
    let kept = shop.ask("credit", &shop.credit("later", "ada", 7));
    assert_eq!(kept["customer_version"], 4, "{kept}");
    let state = |customer: Value, version: i64| {
        move |record: &Record| record.json["customer_id"] == customer && record.json["version"] == version
    };
    let mut states = Published::of(&installation, &["customers"]);
    let ada = states.await_record("ada", state(joined["customer_id"].clone(), 4)).json;
    assert_eq!((&ada["cards"], &ada["programme_id"]), (&joined["cards"], &json!("club")), "{ada}");
    assert_eq!((&ada["tier"]["name"], &ada["tier"]["manual"]), (&json!("Gold"), &json!(true)), "{ada}");
    let bo = states.await_record("bo", state(friend["customer_id"].clone(), 1)).json;
    assert_eq!(bo["referrer_id"], joined["customer_id"], "{bo}");
    worker.finish();

    let shown = installation.must(&["customer", shop.merchant, &format!("card_code:{typed}"), "--json"]);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["external_id"], &shown["cards"][0]["code"]), (&json!("ada"), &json!(code)));
    let page = installation.must(&["customer", shop.merchant, "external_id:ada"]);
    assert!(page.contains("gold since") && page.contains(code), "{page}");
    let explained = installation.must(&["customer", shop.merchant, "--explain", "join"]);
    assert!(explained.contains("card coffee version 1"), "{explained}");
    installation.assert_audit_holds();

    let exported = installation.must(&["config", "export", shop.merchant]);
    let exported: Value = serde_json::from_str(&exported).expect("JSON");
    assert_eq!(exported["cards"][0]["rewards"][0]["reward_id"], "sip", "{exported}");
    assert_eq!(
        (&exported["tiers"][0]["tier_id"], &exported["versions"]["programmes"]["club"]),
        (&json!("gold"), &json!(1))
    );

    let restored = from_nothing(&installation);
    assert_eq!(restored.database().digests(), installation.database().digests());

    // Somebody moves a card to another place: another customer's code would lead here.
    installation.database().execute("update customer set cards = null, tier_id = 'tin' where external_id = 'ada'");
    let refuted = installation.call(&["audit"]);
    assert_eq!(refuted.code, Some(3), "{}", refuted.stdout);
    assert!(refuted.stdout.contains("referrer_id, cards is not the row's"), "{}", refuted.stdout);
}

/// The points of a member expire by themselves, under a worker that has met no command of the merchant's.
#[test]
fn time_alone_tells_all_of_a_member() {
    let installation = Installation::new("membership-due");
    let worker = installation.worker();
    let mut shop = Shop::of_lane(&installation, 0);
    let configuration = [
        json!({ "type": "unit", "unit_id": "points", "name": "Points" }),
        json!({ "type": "card", "card_id": "coffee", "name": "Coffee", "stamps_required": 5, "initial_stamps": 1 }),
    ];
    for (number, command) in configuration.into_iter().enumerate() {
        let answer = shop.ask("merchant-config", &shop.command(&format!("config-{number}"), None, command));
        assert_eq!(answer["effect"], "created", "{answer}");
    }
    let join = shop.command("join", None, json!({ "external_id": "ada", "card_id": "coffee" }));
    let joined = shop.ask("customer-upsert", &join);
    let mut credit = shop.credit("soon-gone", "ada", 5);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    credit["command"]["expires_at"] = json!(soon.to_string());
    assert_eq!(shop.ask("credit", &credit)["customer_version"], 2);
    worker.kill();

    let worker = installation.worker();
    let mut states = Published::of(&installation, &["customers"]);
    let expired = |record: &Record| record.json["customer_id"] == joined["customer_id"] && record.json["version"] == 3;
    let state = states.await_record("what is left", expired).json;
    assert_eq!(state["cards"], joined["cards"], "{state}");
    worker.finish();
    installation.assert_audit_holds();
}
