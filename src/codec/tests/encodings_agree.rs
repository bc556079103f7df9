//! The same command is the same, however it was written.

use super::*;
use crate::domain::customer::card_code;
use crate::domain::parse_customer_id;
use serde_json::json;

#[track_caller]
fn assert_same(avro: &InboundRecord, json: &InboundRecord) {
    let (avro, json) = (command(avro), command(json));
    assert_eq!(avro.envelope, json.envelope);
    assert_eq!(avro.body, json.body);
    assert_eq!(avro.content_hash, json.content_hash);
    assert!(avro.problems.is_empty() && avro.body.is_some(), "{:?}", avro.problems);
}

fn json_record(topic: CommandTopic, command: serde_json::Value, more: serde_json::Value) -> InboundRecord {
    let mut value: serde_json::Value = serde_json::from_str(CREDIT_JSON).unwrap();
    value["command"] = command;
    for (name, field) in more.as_object().unwrap() {
        value[name] = field.clone();
    }
    record(topic, value.to_string())
}

#[test]
fn a_credit() {
    assert_same(&avro(CommandTopic::Credit, &credit()), &record(CommandTopic::Credit, CREDIT_JSON));
}

#[test]
fn a_redemption() {
    let redeem = sent::RedeemAmount {
        unit: "points".into(),
        amount: 5,
        order_id: None,
        reason: Some("lunch".into()),
        skip_notifications: false,
    };
    let wire = sent::RedeemCommand { envelope: envelope(), command: sent::RedeemBody::RedeemAmount(redeem) };
    let json = json!({"type": "amount", "unit": "points", "amount": 5, "reason": "lunch", "order_id": null});
    assert_same(&avro(CommandTopic::Redeem, &wire), &json_record(CommandTopic::Redeem, json, json!({})));
}

#[test]
fn an_upsert() {
    let upsert = sent::CustomerUpsert { email: Some("a@b.c".into()), active: Some(false), ..Default::default() };
    let wire = sent::CustomerUpsertCommand { envelope: envelope(), command: upsert.into() };
    let json = json!({"email": "a@b.c", "active": false});
    assert_same(
        &avro(CommandTopic::CustomerUpsert, &wire),
        &json_record(CommandTopic::CustomerUpsert, json, json!({})),
    );
}

#[test]
fn an_upsert_with_everything() {
    let metric = |value, scale| Some(sent::Metric { value, scale });
    let upsert = sent::CustomerUpsert {
        mode: sent::UpsertMode::Update,
        on_match: Some(sent::OnMatch::FillMissing),
        name: Some("Ada L".into()),
        registered_on: Some("2020-01-01".into()),
        gender: Some(sent::Gender::Female),
        language: Some("en".into()),
        brand_id: Some("b".into()),
        metrics: BTreeMap::from([("a".into(), metric(1276, 1)), ("b".into(), metric(1, 0)), ("gone".into(), None)]),
        metadata: BTreeMap::from([("k".into(), Some("v".into())), ("gone".into(), None)]),
        clear: vec![sent::ProfileField::Email, sent::ProfileField::BirthDate],
        source_version: Some(7),
        ..Default::default()
    };
    let wire = sent::CustomerUpsertCommand { envelope: envelope(), command: upsert.into() };
    let json = json!({
        "mode": "update", "on_match": "fill_missing", "name": "Ada L", "registered_on": "2020-01-01", "gender": "female",
        "language": "en", "brand_id": "b", "source_version": 7, "clear": ["email", "birth_date"],
        "metrics": {"gone": null, "b": {"value": 1}, "a": {"value": 1276, "scale": 1}}, "metadata": {"k": "v", "gone": null},
    });
    let json = json_record(CommandTopic::CustomerUpsert, json, json!({}));
    assert_same(&avro(CommandTopic::CustomerUpsert, &wire), &json);
}

#[test]
fn an_instant_that_no_command_may_name_is_the_same_in_both() {
    let mut wire = credit();
    let sent::CreditBody::CreditAmount(amount) = &mut wire.command;
    amount.expires_at = Some(Instant::from_micros(Instant::EARLIEST.micros() - 1_000_000));
    let mut json: serde_json::Value = serde_json::from_str(CREDIT_JSON).unwrap();
    json["command"]["expires_at"] = "1899-12-31T23:59:59Z".into();
    let json = record(CommandTopic::Credit, json.to_string().into_bytes());
    assert_eq!(command(&avro(CommandTopic::Credit, &wire)).content_hash, command(&json).content_hash);
}

#[test]
fn ids_and_codes_are_the_same_content_however_they_are_typed() {
    let of = |kind: &str, value: &str| {
        let credit: serde_json::Value = serde_json::from_str(CREDIT_JSON).unwrap();
        let mut envelope = credit["envelope"].clone();
        envelope["customer"] = json!({"kind": kind, "value": value});
        let sent =
            json_record(CommandTopic::CustomerUpsert, json!({"referral_code": value}), json!({"envelope": envelope}));
        command(&sent).content_hash
    };
    let id = "01903d4a-1b2c-8d3e-8f4a-5b6c7d8e9f00";
    assert_eq!(of("customer_id", id), of("customer_id", &format!(" {}", id.to_uppercase())));
    let code = card_code(parse_customer_id(id).unwrap(), 0);
    assert_eq!(of("card_code", &code), of("card_code", &format!("{}-{}", code[..4].to_lowercase(), &code[4..])));
    assert_ne!(of("card_code", &code), of("card_code", "of no card"));
}

#[test]
fn every_field_of_an_upsert_is_content() {
    let hash =
        |body: serde_json::Value| command(&json_record(CommandTopic::CustomerUpsert, body, json!({}))).content_hash;
    let bodies = [
        json!({}),
        json!({"mode": "create"}),
        json!({"on_match": "keep"}),
        json!({"name": "x"}),
        json!({"registered_on": "x"}),
        json!({"gender": "other"}),
        json!({"language": "x"}),
        json!({"brand_id": "x"}),
        json!({"metrics": {"x": null}}),
        json!({"metrics": {"x": {"value": 1}}}),
        json!({"metrics": {"x": {"value": 1, "scale": 1}}}),
        json!({"metadata": {"x": null}}),
        json!({"metadata": {"x": "y"}}),
        json!({"clear": ["email"]}),
        json!({"clear": ["email", "phone"]}),
        json!({"source_version": 0}),
        json!({"first_name": "x"}),
        json!({"tier_id": "x"}),
        json!({"card_id": "x"}),
        json!({"send_card_links": true}),
        json!({"referral_code": "x"}),
        json!({"clear": ["tier_id"]}),
    ];
    let hashes: std::collections::HashSet<_> = bodies.iter().cloned().map(hash).collect();
    assert_eq!(hashes.len(), bodies.len());
}

#[test]
fn every_field_of_a_configuration_is_content() {
    let hash = |(body, more): (serde_json::Value, serde_json::Value)| {
        command(&json_record(CommandTopic::MerchantConfig, body, more)).content_hash
    };
    let settings = [
        json!({}),
        json!({"preset": "none"}),
        json!({"preset": "rewrd"}),
        json!({"email": "x"}),
        json!({"phone": "x"}),
        json!({"social": {}}),
        json!({"social": {"x": "y"}}),
        json!({"status": "active"}),
        json!({"on_match": "update"}),
        json!({"required_fields": []}),
        json!({"required_fields": ["name"]}),
        json!({"phone_format": "e164"}),
        json!({"allow_no_identifier": false}),
        json!({"profile_change_needs_active": false}),
        json!({"key_form": "any"}),
        json!({"unknown_customer": "reject"}),
        json!({"unknown_customer": "park"}),
        json!({"park_s": 1}),
        json!({"clear": ["name"]}),
        json!({"clear": ["name", "email"]}),
        json!({"base_tier_id": "x"}),
        json!({"wallet_url_apple": "x"}),
        json!({"wallet_url_google": "x"}),
    ];
    let units = [
        json!({}),
        json!({"description": "x"}),
        json!({"kind": "product"}),
        json!({"currency": "EUR"}),
        json!({"brand_id": "x"}),
        json!({"value": {"numerator": 1, "denominator": 2, "currency": "EUR"}}),
        json!({"rounding": "half_up"}),
        json!({"value": {"numerator": 2, "denominator": 1, "currency": "EUR"}}),
        json!({"step": 2}),
        json!({"attributes": {"x": "y"}}),
    ];
    let settings = settings.map(|mut body| {
        body["type"] = "settings".into();
        body
    });
    let units = units.map(|mut body| {
        for (name, value) in [("type", "unit"), ("unit_id", "u"), ("name", "n")] {
            body[name] = value.into();
        }
        body
    });
    let objects = [
        json!({"type": "tier", "tier_id": "x", "name": "n"}),
        json!({"type": "tier", "tier_id": "y", "name": "n"}),
        json!({"type": "tier", "tier_id": "x", "name": "m"}),
        json!({"type": "tier", "tier_id": "x", "name": "n", "rank": 1}),
        json!({"type": "tier", "tier_id": "x", "name": "n", "benefits": {"a": "b"}}),
        json!({"type": "card", "card_id": "x", "name": "n", "stamps_required": 1}),
        json!({"type": "card", "card_id": "x", "name": "n", "stamps_required": 2}),
        json!({"type": "card", "card_id": "x", "name": "n", "stamps_required": 1, "initial_stamps": 1}),
        json!({"type": "card", "card_id": "x", "name": "n", "stamps_required": 1, "status": "archived"}),
        json!({"type": "card", "card_id": "x", "name": "n", "stamps_required": 1, "rewards": [
            {"reward_id": "r", "name": "n", "stamps": 1}]}),
        json!({"type": "card", "card_id": "x", "name": "n", "stamps_required": 1, "rewards": [
            {"reward_id": "r", "name": "n", "stamps": 2}]}),
        json!({"type": "programme", "programme_id": "x", "name": "n", "unit_id": "u"}),
        json!({"type": "programme", "programme_id": "x", "name": "n", "unit_id": "v"}),
        json!({"type": "programme", "programme_id": "x", "name": "n", "unit_id": "u", "tier_ids": ["t"]}),
        json!({"type": "programme", "programme_id": "x", "name": "n", "unit_id": "u", "active": false}),
    ];
    let expecting = (units[0].clone(), json!({"expected_version": 1}));
    let all: Vec<_> =
        settings.into_iter().chain(units).chain(objects).map(|body| (body, json!({}))).chain([expecting]).collect();
    let count = all.len();
    let hashes: std::collections::HashSet<_> = all.into_iter().map(hash).collect();
    assert_eq!(hashes.len(), count);
}

#[test]
fn settings() {
    let settings = sent::SettingsPatch {
        match_by: Some(vec![sent::IdentifierKind::Email, sent::IdentifierKind::ExternalId]),
        max_age_s: Some(60),
        clear: vec![sent::SettingsField::Phone, sent::SettingsField::Email],
        ..Default::default()
    };
    let wire = sent::MerchantConfigCommand {
        envelope: envelope(),
        effective_from: Some(Instant::from_micros(1_700_000_000_000_000)),
        command: sent::ConfigBody::Settings(settings.into()),
        expected_version: None,
    };
    let json =
        json!({"type": "settings", "match_by": ["email", "external_id"], "max_age_s": 60, "clear": ["phone", "email"]});
    let more = json!({"effective_from": "2023-11-14T22:13:20Z"});
    assert_same(&avro(CommandTopic::MerchantConfig, &wire), &json_record(CommandTopic::MerchantConfig, json, more));
}

#[test]
fn a_unit_at_its_defaults() {
    let unit = bare_unit();
    let wire = sent::MerchantConfigCommand {
        envelope: envelope(),
        effective_from: None,
        command: sent::ConfigBody::Unit(unit.into()),
        expected_version: None,
    };
    let json = json!({"type": "unit", "unit_id": "points", "name": "Points"});
    assert_same(
        &avro(CommandTopic::MerchantConfig, &wire),
        &json_record(CommandTopic::MerchantConfig, json, json!({})),
    );
}

#[test]
fn objects() {
    let of = |command| sent::MerchantConfigCommand {
        envelope: envelope(),
        effective_from: None,
        command,
        expected_version: Some(1),
    };
    let tier = sent::Tier { tier_id: "t".into(), name: "n".into(), rank: 0, benefits: BTreeMap::new() };
    let reward = sent::CardReward { reward_id: "r".into(), name: "m".into(), stamps: 2 };
    let card = sent::Card {
        card_id: "c".into(),
        name: "n".into(),
        stamps_required: 3,
        initial_stamps: 0,
        rewards: vec![reward],
        status: sent::CardStatus::Active,
    };
    let programme = sent::Programme {
        programme_id: "p".into(),
        name: "n".into(),
        unit_id: "u".into(),
        tier_ids: vec!["t".into()],
        active: true,
    };
    let cases = [
        (sent::ConfigBody::Tier(tier.into()), json!({"type": "tier", "tier_id": "t", "name": "n"})),
        (
            sent::ConfigBody::Card(card.into()),
            json!({"type": "card", "card_id": "c", "name": "n", "stamps_required": 3, "rewards": [
                {"reward_id": "r", "name": "m", "stamps": 2}]}),
        ),
        (
            sent::ConfigBody::Programme(programme.into()),
            json!({"type": "programme", "programme_id": "p", "name": "n", "unit_id": "u", "tier_ids": ["t"]}),
        ),
    ];
    for (wire, json) in cases {
        let json = json_record(CommandTopic::MerchantConfig, json, json!({"expected_version": 1}));
        assert_same(&avro(CommandTopic::MerchantConfig, &of(wire)), &json);
    }
}

/// If this fails, every remembered command of every installation would look like another one.
#[test]
fn the_content_hash_stays() {
    let hash = command(&record(CommandTopic::Credit, CREDIT_JSON)).content_hash.0;
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "37952ab8a89e282a880d0b72d5e61e9c");
}

#[test]
fn who_asks_is_no_content_and_what_is_said_is() {
    let original = command(&changed(|_| {})).content_hash;
    let same = [
        changed(|value| value["envelope"]["source"] = "other".into()),
        changed(|value| value["envelope"]["idempotency_key"] = "k-2".into()),
        changed(|value| value["command"]["reason"] = serde_json::Value::Null),
    ];
    for record in same {
        assert_eq!(command(&record).content_hash, original);
    }
    let other = [
        changed(|value| value["envelope"]["customer"]["value"] = "+49124".into()),
        changed(|value| value["envelope"]["customer"]["kind"] = "external_id".into()),
        changed(|value| value["envelope"]["customer"]["kind"] = "card_code".into()),
        changed(|value| value["envelope"]["attributes"]["shop"] = "8".into()),
        changed(|value| value["envelope"]["occurred_at"] = "2023-11-14T22:13:21Z".into()),
        changed(|value| value["command"]["amount"] = 1277.into()),
        changed(|value| value["command"]["reason"] = "".into()),
        changed(|value| value["command"]["skip_notifications"] = false.into()),
    ];
    for record in other {
        assert_ne!(command(&record).content_hash, original);
    }
}

#[test]
fn malformed_content_is_compared_too() {
    let bad = |amount: &str, source: &str| {
        command(&changed(|value| {
            value["command"]["amount"] = amount.into();
            value["envelope"]["source"] = source.into();
        }))
        .content_hash
    };
    assert_eq!(bad("x", "a"), bad("x", "b"));
    assert_ne!(bad("x", "a"), bad("y", "a"));
}
