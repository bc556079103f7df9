//! Tests that read as a ledger: one line per command, and after the arrow what must come of it. Only what is written there is checked.
//!
//! ```text
//! unit   points expiry=180 min_held=100
//! upsert external_id=ada as=ada          -> created, v1
//! credit ada points 500 key=gift         -> applied, v2, available 500
//! after  1d                                                          # the records' time from here on
//! redeem ada points 600                  -> insufficient_points, detail available=500 + requested=600
//! lots   ada points                      -> gift 500 until 2026-07-10T00:00Z
//! ```
//!
//! `parked` says that the command waits. What becomes of it in the end, `outcome KEY` tells, and of the second delivery under a key
//! `outcome KEY#2`; nothing as long as it waits.
//!
//! Every ledger runs over one book here, and in `batch` through plan, snapshot and rows in several splits.

mod parse;

use std::sync::Arc;

use crate::domain::command::Delivery;
use crate::domain::customer::card_code;
use crate::domain::customer::{Customer, CustomerStatus, Identifier};
use crate::domain::{
    Account, Balance, CustomerId, CustomerState, Decision, Entry, Event, Gender, Membership, Metric, Position,
};
pub(crate) use parse::hash;
use parse::{Line, Names, Parser, Step, identifier, instant};

/// Whoever keeps the rows and decides the commands.
pub(crate) trait Keeper {
    /// Decides the deliveries in their order, as one batch where there are batches.
    fn apply(&mut self, deliveries: Vec<Delivery>) -> Applied;
    fn customer(&self, id: CustomerId) -> Option<CustomerState>;
    fn holder(&self, identifier: &Identifier) -> Option<CustomerId>;
    /// Puts an account there that no command could make in a test's time.
    fn preset(&mut self, id: CustomerId, account: Account);
}

#[derive(Default)]
pub(crate) struct Applied {
    /// One per command.
    pub replies: Vec<Reply>,
    pub events: Vec<Event>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub position: Position,
    pub original: Option<Position>,
    pub decision: Arc<Decision>,
    pub balances: Vec<Balance>,
    pub membership: Option<Box<Membership>>,
}

impl From<crate::domain::Outcome> for Reply {
    fn from(outcome: crate::domain::Outcome) -> Reply {
        let crate::domain::Outcome { position, original, decision, balances, membership, .. } = outcome;
        Reply { position, original, decision, balances, membership }
    }
}

/// One line as the delivery that it stands for.
pub(crate) fn parsed(line: &str) -> Delivery {
    match Parser::new().line(line).map(|line| line.step) {
        Some(Step::Deliver(delivery)) => delivery,
        _ => panic!("{line} delivers nothing"),
    }
}

/// Runs a ledger in batches of at most so many commands, cut wherever a line looks at what is stored.
pub(crate) fn check(keeper: &mut dyn Keeper, text: &str, batch: usize) {
    let mut parser = Parser::new();
    let mut so_far = Applied::default();
    let mut waiting: Vec<(Delivery, Line)> = Vec::new();
    for line in text.lines() {
        let Some(Line { text, step, expected }) = parser.line(line) else { continue };
        match step {
            Step::Deliver(delivery) => {
                waiting.push((delivery, Line { text, step: Step::Look(Vec::new()), expected }));
                if waiting.len() >= batch {
                    flush(keeper, &mut waiting, &mut so_far, &parser.names);
                }
            }
            Step::Look(words) => {
                flush(keeper, &mut waiting, &mut so_far, &parser.names);
                look(keeper, &words, &expected, &text, &so_far, &parser);
            }
            Step::Preset { customer, unit, amount } => {
                flush(keeper, &mut waiting, &mut so_far, &parser.names);
                keeper.preset(customer, preset(unit, amount));
            }
        }
    }
    flush(keeper, &mut waiting, &mut so_far, &parser.names);
}

fn flush(keeper: &mut dyn Keeper, waiting: &mut Vec<(Delivery, Line)>, so_far: &mut Applied, names: &Names) {
    let (deliveries, lines): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
    let positions: Vec<Position> = deliveries.iter().map(|delivery| delivery.position).collect();
    let applied = keeper.apply(deliveries);
    for (position, line) in positions.into_iter().zip(lines) {
        let reply = applied.replies.iter().find(|reply| reply.position == position);
        let told = applied.events.iter().filter(|event| event.cause == Some(position));
        let told: Vec<&str> = told.map(|event| event.fact.event_type().name()).collect();
        for item in &line.expected {
            if item == "parked" {
                assert!(told.contains(&"command.parked"), "{}\ntold {told:?}", line.text);
                continue;
            }
            let reply = reply.unwrap_or_else(|| panic!("{}\nhas no reply", line.text));
            check_item(reply, &told, item, names, &line.text);
        }
    }
    so_far.replies.extend(applied.replies);
    so_far.events.extend(applied.events);
}

fn check_item(reply: &Reply, told: &[&str], item: &str, names: &Names, line: &str) {
    let decision = &reply.decision;
    let (name, wanted) = item.split_once(' ').map_or((item, ""), |(name, rest)| (name, rest.trim()));
    let balance = || reply.balances.first();
    let found = match name {
        "available" => balance().map(|balance| balance.available.to_string()).unwrap_or_default(),
        "earned" => balance().map(|balance| balance.lifetime_earned.to_string()).unwrap_or_default(),
        "config" => decision.config_version.map_or("none".to_owned(), |version| version.to_string()),
        "customer" => match decision.customer_id {
            None => "nobody".to_owned(),
            Some(id) => name_of(names, id),
        },
        "again" => {
            let first = names.positions.get(wanted).copied();
            if first.is_some() && reply.original == first { wanted.to_owned() } else { format!("{:?}", reply.original) }
        }
        "wrote" => join(decision.entries.iter().map(|entry| format!("{} {}", entry.kind.name(), entry.amount))),
        "took" => join(decision.entries.last().into_iter().flat_map(|entry| shares(entry, names))),
        "events" => join(told.iter().map(ToString::to_string)),
        "cards" => {
            let cards = reply.membership.iter().flat_map(|membership| &membership.cards);
            join(cards.map(|card| format!("{} {}/{}", card.card_id, card.stamps, card.stamps_required)))
        }
        "tier" => {
            let tier = reply.membership.as_ref().and_then(|membership| membership.tier.as_ref());
            tier.map_or("none".to_owned(), |tier| tier.name.clone())
        }
        "links" => {
            let cards = reply.membership.iter().flat_map(|membership| &membership.cards);
            let links = cards.flat_map(|card| card.apple_wallet_url.iter().chain(&card.google_wallet_url));
            join(links.map(|link| without_codes(link, names)))
        }
        "fields" => join(rejected(reply).into_iter().flat_map(|it| it.fields.iter().map(|field| field.field.clone()))),
        "detail" => join(
            rejected(reply).into_iter().flat_map(|it| it.detail.iter().map(|(key, value)| format!("{key}={value}"))),
        ),
        version if version.strip_prefix('v').is_some_and(|it| it.parse::<i64>().is_ok()) => {
            let version = decision.customer_version.map_or("v-none".to_owned(), |version| format!("v{version}"));
            assert_eq!(version, item, "\n{line}\nwas {decision:?}");
            return;
        }
        _ => {
            let verdict =
                decision.verdict.as_ref().map_or_else(|rejection| rejection.code.name(), |effect| effect.name());
            assert_eq!(verdict, item, "\n{line}\nwas {decision:?}");
            return;
        }
    };
    assert_eq!(found, wanted, "{name} of\n{line}\nwas {decision:?}");
}

fn look(keeper: &dyn Keeper, words: &[String], expected: &[String], line: &str, so_far: &Applied, parser: &Parser) {
    let names = &parser.names;
    let Applied { replies, events } = so_far;
    if words[0] == "outcome" {
        let position = names.positions[&words[1]];
        let replies: Vec<&Reply> = replies.iter().filter(|reply| reply.position == position).collect();
        assert_eq!(replies.len(), usize::from(!expected.is_empty()), "replies of\n{line}");
        expected.iter().for_each(|item| check_item(replies[0], &[], item, names, line));
        return;
    }
    if words[0] == "holder" {
        let holder = keeper.holder(&identifier("acme", &words[1]));
        let holder = holder.map_or("nobody".to_owned(), |id| name_of(names, id));
        assert_eq!(holder, expected.join(","), "\n{line}");
        return;
    }
    let id = parser.customer(&words[1]);
    let state = keeper.customer(id);
    let accounts = || state.iter().flat_map(|state| &state.accounts);
    let account = accounts().find(|account| words.get(2).is_some_and(|it| *it == account.unit_id.as_str()));
    match words[0].as_str() {
        "history" => {
            let of_customer = events.iter().filter(|event| event.customer_id == Some(id));
            let told = join(of_customer.map(|event| format!("{} {}", event.version, event.fact.event_type().name())));
            assert_eq!(told, expected.join(","), "\n{line}");
        }
        "profile" => {
            let state = state.unwrap_or_else(|| panic!("{line}\nthere is no such customer"));
            expected.iter().for_each(|item| check_profile(&state.customer, item, names, line));
        }
        "account" => {
            let account = account.unwrap_or_else(|| panic!("{line}\nthere is no such account"));
            expected.iter().for_each(|item| check_account(account, item, line));
        }
        _ => {
            let lots = account.map(|account| account.lots_in_spending_order()).unwrap_or_default();
            let wanted: Vec<String> = expected.iter().flat_map(|item| item.split(" + ")).map(at_full_length).collect();
            let found = lots.iter().map(|lot| {
                let name = names.lots.get(&lot.lot_id).cloned().unwrap_or_else(|| lot.lot_id.to_string());
                match lot.expires_at {
                    Some(until) => format!("{name} {} until {until}", lot.remaining),
                    None => format!("{name} {} for ever", lot.remaining),
                }
            });
            assert_eq!(found.collect::<Vec<_>>(), wanted, "\n{line}");
        }
    }
}

fn check_profile(customer: &Customer, item: &str, names: &Names, line: &str) {
    let (name, wanted) = item.split_once(' ').unwrap_or((item, ""));
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let found = match name {
        "phone" => text(&customer.phone),
        "email" => text(&customer.email),
        "external_id" => text(&customer.external_id),
        "first" => text(&customer.first_name),
        "last" => text(&customer.last_name),
        "name" => text(&customer.name),
        "language" => text(&customer.language),
        "brand" => text(&customer.brand_id),
        "gender" => customer.gender.map_or("none", Gender::name).to_owned(),
        "registered" => customer.registered_on.map_or("none".to_owned(), |date| date.to_string()),
        "source_version" => customer.source_version.map_or("none".to_owned(), |version| version.to_string()),
        "metrics" => {
            join(customer.metrics.iter().map(|(key, Metric { value, scale })| format!("{key}:{value}/{scale}")))
        }
        "metadata" => join(customer.metadata.iter().map(|(key, value)| format!("{key}:{value}"))),
        "birth" => customer.birth_date.map_or("none".to_owned(), |date| date.to_string()),
        "notify" => format!("email={} phone={}", customer.notify_email, customer.notify_phone),
        "programme" => text(&customer.programme_id),
        "tier" => customer.tier.as_ref().map_or("none".to_owned(), |tier| {
            format!("{}{}", tier.tier_id, if tier.is_manual { " by hand" } else { "" })
        }),
        "tier_since" => customer.tier.as_ref().map_or("never".to_owned(), |tier| tier.since.to_string()),
        "cards" => join(customer.cards.iter().map(|card| card.card_id.clone())),
        "referrer" => customer.referrer_id.map_or("nobody".to_owned(), |id| name_of(names, id)),
        "complete" | "incomplete" => {
            assert_eq!(customer.incomplete, name == "incomplete", "{line}");
            return;
        }
        "active" | "inactive" => {
            assert_eq!(customer.status == CustomerStatus::Active, name == "active", "{line}");
            return;
        }
        version => {
            assert_eq!(format!("v{}", customer.version), version, "\n{line}");
            return;
        }
    };
    assert_eq!(found, wanted, "{name} of\n{line}");
}

fn check_account(account: &Account, item: &str, line: &str) {
    let (name, wanted) = item.split_once(' ').unwrap_or((item, ""));
    let found = match name {
        "available" => account.available,
        "earned" => account.lifetime_earned,
        "redeemed" => account.lifetime_redeemed,
        "entries" => account.entries,
        _ => panic!("an account has no {name}"),
    };
    assert_eq!(found.to_string(), wanted, "{name} of\n{line}");
}

/// `(ada/1)` in place of the code of her first card.
fn without_codes(link: &str, names: &Names) -> String {
    let all =
        names.customers.iter().flat_map(|(name, id)| (0..3).map(move |place| (name, card_code(*id, place), place)));
    let link = names
        .customers
        .iter()
        .fold(link.to_owned(), |link, (name, id)| link.replace(&id.to_string(), &format!("({name})")));
    all.fold(link, |link, (name, code, place)| link.replace(&code, &format!("({name}/{})", place + 1)))
}

fn rejected(reply: &Reply) -> Option<&crate::domain::Rejection> {
    reply.decision.verdict.as_ref().err()
}

fn shares<'a>(entry: &'a Entry, names: &'a Names) -> impl Iterator<Item = String> + 'a {
    entry.lots.iter().map(|share| {
        let name = names.lots.get(&share.lot_id).cloned().unwrap_or_else(|| share.lot_id.to_string());
        format!("{name} {}", share.amount)
    })
}

fn join(items: impl Iterator<Item = String>) -> String {
    let joined = items.collect::<Vec<_>>().join(" + ");
    if joined.is_empty() { "none".to_owned() } else { joined }
}

fn name_of(names: &Names, id: CustomerId) -> String {
    let named = names.customers.iter().find(|(_, named)| **named == id);
    named.map_or_else(|| id.to_string(), |(name, _)| name.clone())
}

/// Instants as they are printed, though a ledger may leave the seconds out.
fn at_full_length(lot: &str) -> String {
    match lot.trim().split_once(" until ") {
        Some((name, until)) => format!("{name} until {}", instant(until)),
        None => lot.trim().to_owned(),
    }
}

fn preset(unit: crate::domain::UnitId, amount: i64) -> Account {
    use crate::domain::{Instant, Lot, LotId};
    let mut account = Account::new(unit);
    let lot = Lot {
        lot_id: LotId(uuid::Uuid::nil()),
        amount,
        remaining: amount,
        issued_at: Instant::EPOCH,
        expires_at: None,
    };
    account.credit(lot).expect("a preset account is in range");
    account.append(crate::domain::TransactionId(uuid::Uuid::nil()));
    account
}
