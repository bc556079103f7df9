//! From the text of a ledger to deliveries and to what is expected of them.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use crate::domain::command::{
    Body, Command, Content, ContentHash, CreditAmount, CustomerRef, CustomerUpsert, Delivery, Envelope, FieldProblem,
    RedeemAmount, RefKind, Schedule, UpsertMode,
};
use crate::domain::config::{
    Card, CardReward, CardStatus, KeyForm, MerchantStatus, MoneyValue, OnMatch, PhoneFormat, Preset, Programme,
    Rounding, SettingsField, SettingsPatch, Tier, Unit, UnitKind, UnknownCustomer, Zone,
};
use crate::domain::customer::card_code;
use crate::domain::customer::{Identifier, IdentifierKind};
use crate::domain::values::ids::first_16;
use crate::domain::{
    CommandTopic, CustomerId, Gender, IdempotencyKey, Instant, LotId, MerchantId, Metric, OrderId, Position,
    ProfileField, Seed, UnitId,
};

/// One line of a ledger.
pub(super) struct Line {
    pub text: String,
    pub step: Step,
    /// What stands after the arrow.
    pub expected: Vec<String>,
}

pub(super) enum Step {
    Deliver(Delivery),
    /// A look at what is stored: the words before the arrow.
    Look(Vec<String>),
    /// An account that holds so much already.
    Preset {
        customer: CustomerId,
        unit: UnitId,
        amount: i64,
    },
}

/// What the lines named so far.
#[derive(Default)]
pub(super) struct Names {
    /// `as=ada` names the customer that an upsert makes, or a credit.
    pub customers: HashMap<String, CustomerId>,
    /// `key=k` names where a command stood first, and the lot that it made; `k#2` where it stood the second time.
    pub positions: HashMap<String, Position>,
    /// How often each key was sent.
    deliveries: HashMap<String, usize>,
    pub lots: HashMap<LotId, String>,
}

pub(super) struct Parser {
    pub names: Names,
    now: Instant,
    offsets: [i64; CommandTopic::COUNT],
    lines: usize,
}

/// The options of a line, each used once: what is left over was misspelt.
struct Options(HashMap<String, String>);

impl Options {
    fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).map(|value| match value.strip_prefix('*') {
            Some(length) => "x".repeat(length.parse().expect("*n is a text of n characters")),
            None => value,
        })
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str) -> Option<T> {
        self.text(name).map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
    }

    fn word<T: Copy>(&mut self, name: &str, words: &[T], spelt: impl Fn(T) -> &'static str) -> Option<T> {
        let wanted = self.text(name)?;
        let word = words.iter().copied().find(|word| spelt(*word) == wanted);
        Some(word.unwrap_or_else(|| panic!("{name} has no word {wanted}")))
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        self.text(name)
            .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is neither true nor false")))
    }
}

impl Parser {
    pub fn new() -> Parser {
        Parser {
            names: Names::default(),
            now: instant("2026-01-10T12:00Z"),
            offsets: [0; CommandTopic::COUNT],
            lines: 0,
        }
    }

    /// `None` for an empty line and for those that only set the time.
    pub fn line(&mut self, text: &str) -> Option<Line> {
        self.lines += 1;
        let text = text.split_once("# ").map_or(text, |(line, _)| line).trim();
        let (command, expected) = text.split_once("->").unwrap_or((text, ""));
        let words = words(command);
        let (verb, rest) = words.split_first()?;
        let step = match verb.as_str() {
            "at" => {
                self.now = instant(&rest[0]);
                return None;
            }
            "after" => {
                self.now = self.now.saturating_add_seconds(seconds(&rest[0]));
                return None;
            }
            "lots" | "account" | "history" | "profile" | "holder" | "outcome" => Step::Look(words),
            "preset" => Step::Preset {
                customer: self.customer(&rest[0]),
                unit: UnitId::new(rest[1].as_str()),
                amount: rest[2].parse().expect("an amount"),
            },
            verb => Step::Deliver(self.delivery(verb, rest)),
        };
        let expected = expected.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect();
        Some(Line { text: text.to_owned(), step, expected })
    }

    pub fn customer(&self, name: &str) -> CustomerId {
        *self.names.customers.get(name).unwrap_or_else(|| panic!("no line above says as={name}"))
    }

    fn delivery(&mut self, verb: &str, words: &[String]) -> Delivery {
        let options = words.iter().filter_map(|word| word.split_once('='));
        let mut options = Options(options.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        let plain = words.iter().map(String::as_str).filter(|word| !word.contains('='));
        let plain: Vec<&str> = plain.map(|word| if word == "empty" { "" } else { word }).collect();
        let topic = match verb {
            "settings" | "unit" | "tier" | "card" | "programme" => CommandTopic::MerchantConfig,
            "upsert" => CommandTopic::CustomerUpsert,
            "credit" => CommandTopic::Credit,
            "redeem" => CommandTopic::Redeem,
            "tick" => CommandTopic::Clock,
            "malformed" => CommandTopic::ALL.into_iter().find(|topic| topic.suffix() == plain[0]).expect("a topic"),
            _ => panic!("no line begins with {verb}"),
        };
        let position = Position { topic, partition: 0, offset: self.offsets[topic.index()] };
        self.offsets[topic.index()] += 1;
        let seed = Seed::of_record(topic.suffix(), 0, position.offset, self.now);
        if verb == "tick" {
            return Delivery { position, timestamp: self.now, seed, content: Content::Tick };
        }

        let key = options.text("key").unwrap_or_else(|| format!("line-{}", self.lines));
        let nth = self.names.deliveries.entry(key.clone()).or_default();
        *nth += 1;
        let name = if *nth == 1 { key.clone() } else { format!("{key}#{nth}") };
        self.names.positions.insert(name, position);
        self.names.lots.insert(LotId(seed.transaction_id(0).0), key.clone());
        if let Some(name) = options.text("as") {
            self.names.customers.insert(name, seed.customer_id());
        }
        let reference = match verb {
            "credit" | "redeem" => Some(plain[0].to_owned()),
            _ => options.text("ref"),
        };
        let envelope = Envelope {
            merchant_id: MerchantId::new(options.text("merchant").unwrap_or_else(|| "acme".to_owned())),
            idempotency_key: IdempotencyKey::new(key),
            customer: reference.filter(|name| name != "nobody").map(|name| self.reference(&name)),
            occurred_at: options.text("occurred").map(|time| self.time(&time)),
            source: options.text("source"),
            attributes: BTreeMap::new(),
        };
        let original_time = options.text("original").map(|time| self.time(&time));
        let is_config = topic == CommandTopic::MerchantConfig;
        let schedule = Schedule {
            effective_from: is_config.then(|| options.text("from")).flatten().map(|time| self.time(&time)),
            expected_version: is_config.then(|| options.number("expected")).flatten(),
        };
        let body = self.body(verb, &plain, &mut options);
        assert!(options.0.is_empty(), "{verb} has no {:?}", options.0);
        let content_hash = hash(&envelope, &(schedule, &body));
        let problem = FieldProblem { field: "command".to_owned(), problem: "is wrong".to_owned() };
        let problems = if body.is_none() { vec![problem] } else { Vec::new() };
        let traceparent = None;
        let command = Command { topic, envelope, schedule, body, problems, content_hash, traceparent, original_time };
        Delivery { position, timestamp: self.now, seed, content: Content::Command(Box::new(command)) }
    }

    fn body(&self, verb: &str, plain: &[&str], options: &mut Options) -> Option<Body> {
        Some(match verb {
            "settings" => Body::Settings(Box::new(SettingsPatch {
                name: options.text("name"),
                time_zone: options.text("zone").map(Zone::from),
                match_by: options
                    .text("match_by")
                    .map(|kinds| kinds.split('+').filter(|kind| !kind.is_empty()).map(identifier_kind).collect()),
                max_age_s: options.number("max_age"),
                max_future_s: options.number("max_future"),
                preset: options.word("preset", &Preset::ALL, |preset| preset.name()),
                email: options.text("email"),
                phone: options.text("phone"),
                social: options.text("social").map(|links| pairs(&links).collect()),
                status: options.word("status", &MerchantStatus::ALL, |status| status.name()),
                on_match: options.word("on_match", &OnMatch::ALL, |on_match| on_match.name()),
                required_fields: options.text("required").map(|names| fields_of(&names)),
                phone_format: options.word("phones", &PhoneFormat::ALL, |format| format.name()),
                allow_no_identifier: options.flag("no_identifier"),
                profile_change_needs_active: options.flag("needs_active"),
                key_form: options.word("keys", &KeyForm::ALL, |form| form.name()),
                unknown_customer: options.word("unknown", &UnknownCustomer::ALL, |unknown| unknown.name()),
                park_s: options.number("park"),
                clear: options.text("clear").map(|names| settings_fields_of(&names)).unwrap_or_default(),
                base_tier_id: options.text("base_tier"),
                wallet_url_apple: options.text("apple"),
                wallet_url_google: options.text("google"),
            })),
            "tier" | "card" | "programme" => object(verb, plain[0].to_owned(), options),
            "unit" => Body::Unit(Box::new(Unit {
                unit_id: UnitId::new(plain[0]),
                name: options.text("name").unwrap_or_else(|| "Points".to_owned()),
                scale: options.number("scale").unwrap_or(0),
                expiry_days: options.number("expiry"),
                min_held: options.number("min_held").unwrap_or(0),
                min_amount: options.number("min_amount").unwrap_or(1),
                description: options.text("description"),
                kind: options.word("kind", &UnitKind::ALL, |kind| kind.name()).unwrap_or(UnitKind::Points),
                currency: options.text("currency"),
                brand_id: options.text("brand"),
                value: options.text("value").map(|value| money_value(&value)),
                rounding: options.word("rounding", &Rounding::ALL, |it| it.name()).unwrap_or(Rounding::Floor),
                step: options.number("step").unwrap_or(1),
                attributes: options.text("attributes").map(|labels| pairs(&labels).collect()).unwrap_or_default(),
            })),
            "upsert" => Body::CustomerUpsert(Box::new(CustomerUpsert {
                external_id: options.text("external_id"),
                phone: options.text("phone"),
                email: options.text("email"),
                first_name: options.text("first"),
                last_name: options.text("last"),
                birth_date: options.text("birth"),
                active: options.flag("active"),
                notify_email: options.flag("notify_email"),
                notify_phone: options.flag("notify_phone"),
                mode: options.word("mode", &UpsertMode::ALL, |mode| mode.name()).unwrap_or_default(),
                on_match: options.word("on_match", &OnMatch::ALL, |on_match| on_match.name()),
                name: options.text("name"),
                registered_on: options.text("registered"),
                gender: options.word("gender", &Gender::ALL, |gender| gender.name()),
                language: options.text("language"),
                brand_id: options.text("brand"),
                metrics: options.text("metrics").iter().flat_map(|text| metrics(text)).collect(),
                metadata: options.text("metadata").iter().flat_map(|text| metadata(text)).collect(),
                clear: options.text("clear").map(|names| fields_of(&names)).unwrap_or_default(),
                source_version: options.number("source_version"),
                tier_id: options.text("tier"),
                card_id: options.text("card"),
                send_card_links: options.flag("send_links").unwrap_or(false),
                referral_code: options.text("referral").map(|code| self.card_or_customer(&code)),
            })),
            "credit" => Body::CreditAmount(CreditAmount {
                unit: UnitId::new(plain[1]),
                amount: plain[2].parse().expect("an amount"),
                order_id: options.text("order").map(OrderId::from),
                reason: options.text("reason"),
                title: options.text("title"),
                expires_at: options.text("expires").map(|time| self.time(&time)),
                skip_notifications: options.flag("skip_notifications").unwrap_or(false),
            }),
            "redeem" => Body::RedeemAmount(RedeemAmount {
                unit: UnitId::new(plain[1]),
                amount: plain[2].parse().expect("an amount"),
                order_id: options.text("order").map(OrderId::from),
                reason: options.text("reason"),
                skip_notifications: options.flag("skip_notifications").unwrap_or(false),
            }),
            _ => return None,
        })
    }

    /// `ada` is an external id, `phone:+49...` and `email:...` say so, and `id:ada` is the customer id that `as=ada` named.
    fn reference(&self, name: &str) -> CustomerRef {
        match name.split_once(':') {
            Some(("id", name)) => {
                let id = self.names.customers.get(name).map_or_else(|| name.to_owned(), ToString::to_string);
                CustomerRef { kind: RefKind::CustomerId, value: id }
            }
            Some(("card", name)) => CustomerRef { kind: RefKind::CardCode, value: self.card_or_customer(name) },
            Some((kind, value)) => CustomerRef { kind: identifier_kind(kind).into(), value: value.to_owned() },
            None => CustomerRef { kind: RefKind::ExternalId, value: name.to_owned() },
        }
    }

    /// `ada` is her id, `ada/2` the code of her second card, and all else stands for itself.
    fn card_or_customer(&self, text: &str) -> String {
        let (name, card) = text.split_once('/').map_or((text, None), |(name, card)| (name, Some(card)));
        match (self.names.customers.get(name), card) {
            (Some(id), Some(nth)) => card_code(*id, nth.parse::<usize>().expect("which card") - 1),
            (Some(id), None) => id.to_string(),
            (None, _) => text.to_owned(),
        }
    }

    /// `-3h` and `+5m` count from the record's time, all else is an instant.
    fn time(&self, text: &str) -> Instant {
        match text.strip_prefix('-') {
            Some(ago) => self.now.saturating_add_seconds(-seconds(ago)),
            None => match text.strip_prefix('+') {
                Some(ahead) => self.now.saturating_add_seconds(seconds(ahead)),
                None => instant(text),
            },
        }
    }
}

fn object(verb: &str, id: String, options: &mut Options) -> Body {
    let name = options.text("name").unwrap_or_else(|| verb.to_owned());
    match verb {
        "tier" => Body::Tier(Box::new(Tier {
            tier_id: id,
            name,
            rank: options.number("rank").unwrap_or(0),
            benefits: options.text("benefits").map(|labels| pairs(&labels).collect()).unwrap_or_default(),
        })),
        "card" => Body::Card(Box::new(Card {
            card_id: id,
            name,
            stamps_required: options.number("required").unwrap_or(10),
            initial_stamps: options.number("initial").unwrap_or(0),
            rewards: options
                .text("rewards")
                .map(|rewards| pairs(&rewards).map(card_reward).collect())
                .unwrap_or_default(),
            status: options.word("status", &CardStatus::ALL, |status| status.name()).unwrap_or(CardStatus::Active),
        })),
        _ => Body::Programme(Box::new(Programme {
            programme_id: id,
            name,
            unit_id: UnitId::new(options.text("unit").unwrap_or_else(|| "points".to_owned())),
            tier_ids: options.text("tiers").map(|ids| ids.split('+').map(str::to_owned).collect()).unwrap_or_default(),
            active: options.flag("active").unwrap_or(true),
        })),
    }
}

/// `coffee:5` is a reward at 5 stamps.
fn card_reward((reward_id, stamps): (String, String)) -> CardReward {
    CardReward { name: reward_id.clone(), reward_id, stamps: stamps.parse().expect("stamps") }
}

/// `a+b`: fields by their names.
fn fields_of(names: &str) -> Vec<ProfileField> {
    let field = |name: &str| ProfileField::ALL.iter().copied().find(|field| field.name() == name).expect("a field");
    names.split('+').filter(|name| !name.is_empty()).map(field).collect()
}

fn settings_fields_of(names: &str) -> Vec<SettingsField> {
    let field = |name: &str| SettingsField::ALL.into_iter().find(|field| field.name() == name).expect("a field");
    names.split('+').map(field).collect()
}

/// `key:value+key:value`; `@n` stands for n keys.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let many = text.strip_prefix('@').map(|count| count.parse::<usize>().expect("@n is n keys"));
    let one = if many.is_some() { "" } else { text };
    let numbered = (0..many.unwrap_or(0)).map(|number| (format!("key-{number}"), "1".to_owned()));
    let written = one.split('+').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once(':').expect("key:value");
        let value = value.strip_prefix('*').map_or_else(
            || value.to_owned(),
            |length| "x".repeat(length.parse().expect("*n is a text of n characters")),
        );
        (key.to_owned(), value)
    });
    numbered.chain(written.collect::<Vec<_>>())
}

/// `none` for the value removes the key.
fn metadata(text: &str) -> impl Iterator<Item = (String, Option<String>)> {
    pairs(text).map(|(key, value)| (key, (value != "none").then_some(value)))
}

/// `key:1276/1` is 127.6.
fn metrics(text: &str) -> impl Iterator<Item = (String, Option<Metric>)> {
    metadata(text).map(|(key, value)| {
        let metric = value.map(|value| {
            let (value, scale) = value.split_once('/').unwrap_or((&value, "0"));
            Metric { value: value.parse().expect("a number"), scale: scale.parse().expect("a scale") }
        });
        (key, metric)
    })
}

/// `1/10EUR`
fn money_value(text: &str) -> MoneyValue {
    let (fraction, currency) = text.split_at(text.len() - 3);
    let (numerator, denominator) = fraction.split_once('/').expect("a fraction");
    MoneyValue {
        numerator: numerator.parse().expect("a number"),
        denominator: denominator.parse().expect("a number"),
        currency: currency.to_owned(),
    }
}

pub(super) fn identifier(merchant: &str, text: &str) -> Identifier {
    let (kind, value) = text.split_once(':').expect("kind:value");
    let kind = identifier_kind(kind);
    let value = crate::domain::customer::stored_form(kind, value).expect("a well-formed identifier");
    Identifier { merchant_id: MerchantId::new(merchant), kind, value }
}

fn identifier_kind(name: &str) -> IdentifierKind {
    IdentifierKind::ALL.into_iter().find(|kind| kind.field() == name).expect("external_id, phone or email")
}

pub(super) fn instant(text: &str) -> Instant {
    let timestamp: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    Instant::from_micros(timestamp.as_microsecond())
}

fn seconds(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: i64 = number.parse().unwrap_or_else(|_| panic!("{text} is no duration"));
    number
        * match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => panic!("{text} is no duration"),
        }
}

/// What a sender says, without what a sender may repeat differently: as the codec does it, over other bytes.
pub(crate) fn hash(envelope: &Envelope, body: &impl std::fmt::Debug) -> ContentHash {
    let said = (&envelope.customer, &envelope.occurred_at, &envelope.attributes, body);
    ContentHash(first_16(Sha256::new().chain_update(format!("{said:?}"))))
}

/// Words between spaces; a part in double quotes keeps its spaces.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (part, quoted) in text.split('"').zip([false, true].into_iter().cycle()) {
        if quoted {
            words.last_mut().expect("never empty").push_str(part);
            continue;
        }
        for (index, word) in part.split(' ').enumerate() {
            if index > 0 {
                words.push(String::new());
            }
            words.last_mut().expect("never empty").push_str(word);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
