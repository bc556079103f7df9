//! Creating a customer, or changing the fields that are set.
//!
//! A customer that a credit enrolled is `incomplete`: it has an identifier, and nobody has said more of it. An upsert that finds it is its
//! sign-up, so it is filled as by `update` whatever mode and `on_match` are for those that exist. What the merchant requires is asked of it
//! then, as of every upsert, and it is incomplete no more.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use crate::domain::book::Book;
use crate::domain::case::{Accepted, Case, Touched, unknown_tier};
use crate::domain::command::{CustomerUpsert, UpsertMode};
use crate::domain::config::objects::MOST_ID_CHARS;
use crate::domain::config::settings::OnMatch;
use crate::domain::customer::changes::differences;
use crate::domain::customer::enrolment::referrer_of;
use crate::domain::customer::enrolment::{CustomerTier, Enrolment};
use crate::domain::customer::identifiers::{Identifier, IdentifierKind};
use crate::domain::customer::profile::ProfileField;
use crate::domain::customer::state::{Customer, CustomerStatus};
use crate::domain::event::{Fact, TierReason};
use crate::domain::field_check::{FieldCheck, is_key};
use crate::domain::ledger::entry::Entry;
use crate::domain::outcome::Effect;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::rules::card_enrolment;
use crate::domain::rules::card_enrolment::NamedCard;
use crate::domain::settle;
use crate::domain::values::ids::CustomerId;
use crate::domain::values::ids::parse_customer_id;
use crate::domain::values::time::Instant;

/// One command may replace all of them.
const MOST_KEYS: usize = 50;
/// Of a customer's metrics and metadata together, as they are stored.
const MOST_MAP_BYTES: usize = 8 * 1024;

/// The payload, normalised.
struct Proposal<'a> {
    upsert: &'a CustomerUpsert,
    identifiers: Vec<(IdentifierKind, String)>,
    birth_date: Option<Date>,
    registered_on: Option<Date>,
    language: Option<String>,
    /// Whom the merchant gives no other tier.
    base_tier: Option<CustomerTier>,
    now: Instant,
}

/// What is to become of whom.
enum Plan {
    Create,
    Change(CustomerId, Change),
    Keep,
    /// A customer that exists, and must not.
    Exists,
    /// A customer that must exist, and does not.
    Unknown,
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Update,
    FillMissing,
}

pub(in crate::domain) fn judge(
    book: &mut Book,
    case: &Case<'_>,
    upsert: &CustomerUpsert,
    touched: &mut Touched,
) -> Result<Accepted, Rejection> {
    let mut check = case.field_check();
    case.check_reference(&mut check);
    let proposal = check_form(book, case, upsert, &mut check);
    let matched = matched(book, case, &proposal);
    let plan = plan(book, case, upsert, matched);
    // Whom it would change is known only of what is well-formed.
    let of_plan =
        ["envelope.customer", "envelope.customer.kind", "envelope.customer.value", "command.mode", "command.on_match"];
    if !of_plan.iter().any(|field| check.names(field)) {
        check_outcome(book, case, &proposal, &plan, &mut check);
    }
    check.done()?;
    check_tier(book, case, upsert)?;
    let card = card_enrolment::find(book, case, upsert.card_id.as_ref())?;

    // A reference that names somebody touches them, whatever else is wrong.
    if case.command.envelope.customer.is_some() && matched.is_some() {
        case.named_customer(book, touched)?;
    }
    check_conflict(book, case, &proposal, matched)?;
    check_replaced(book, case, &proposal, &plan)?;
    if let Some(customer) = matched {
        touched.customer = Some(customer);
        settle::settle_customer(book, customer, case.moment.lane_time);
    }
    let (effect, entry) = match plan {
        Plan::Create => {
            let referrer = referrer(book, case, upsert)?;
            card.as_ref().map_or(Ok(()), NamedCard::check_open)?;
            let (customer, entry) = create(book, case, &proposal, referrer, card.as_ref());
            touched.customer = Some(customer);
            (Effect::Created, entry)
        }
        Plan::Change(customer, change) => {
            check_open(book, case, upsert, customer, change)?;
            // Whoever has it keeps it, also when it is archived.
            let has = |card: &NamedCard| book.customer(customer).is_some_and(|it| it.card_place(card.id()).is_some());
            let card = card.filter(|card| !has(card));
            card.as_ref().map_or(Ok(()), NamedCard::check_open)?;
            update(book, case, &proposal, customer, change, card.as_ref())
        }
        Plan::Keep => (Effect::Kept, None),
        Plan::Exists => {
            return Err(Rejection::new(RejectionCode::CustomerExists, "The merchant has this customer already."));
        }
        Plan::Unknown => {
            return Err(Rejection::new(
                RejectionCode::UnknownCustomer,
                "No customer of this merchant has this identifier.",
            ));
        }
    };
    touched.unit = entry.as_ref().map(|entry| entry.unit_id.clone());
    Ok(Accepted { effect, entries: entry.into_iter().collect(), config_version: None })
}

/// What is wrong with the payload by itself.
fn check_form<'a>(book: &Book, case: &Case<'_>, upsert: &'a CustomerUpsert, check: &mut FieldCheck) -> Proposal<'a> {
    let sent = [
        (IdentifierKind::ExternalId, "command.external_id", &upsert.external_id),
        (IdentifierKind::Phone, "command.phone", &upsert.phone),
        (IdentifierKind::Email, "command.email", &upsert.email),
    ];
    let phones = case.settings.phone_format;
    let identifiers = sent
        .into_iter()
        .filter_map(|(kind, field, value)| Some((kind, check.identifier(field, kind, value.as_deref(), phones)?)))
        .collect();
    check.text("command.first_name", upsert.first_name.as_deref(), 255);
    check.text("command.last_name", upsert.last_name.as_deref(), 255);
    check.text("command.name", upsert.name.as_deref(), 255);
    // Today where the customer may be: the date line is at most 14 hours ahead of UTC.
    let today = case.moment.lane_time.saturating_add_seconds(14 * 60 * 60).utc_date();
    let birth_date = check.date("command.birth_date", upsert.birth_date.as_deref(), today);
    let registered_on = check.date("command.registered_on", upsert.registered_on.as_deref(), today);
    let language = check.language("command.language", upsert.language.as_deref());
    check.id("command.brand_id", upsert.brand_id.as_deref(), 255);
    if check.keys("command.metrics", upsert.metrics.keys(), 2 * MOST_KEYS) {
        let sent = upsert.metrics.iter().filter(|(key, _)| is_key(key));
        for (key, metric) in sent.filter_map(|(key, metric)| Some((key, metric.as_ref()?))) {
            check.range(&format!("command.metrics.{key}.scale"), i64::from(metric.scale), 0, 6);
        }
    }
    if check.keys("command.metadata", upsert.metadata.keys(), 2 * MOST_KEYS) {
        let sent = upsert.metadata.iter().filter(|(key, _)| is_key(key));
        for (key, text) in sent.filter_map(|(key, text)| Some((key, text.as_deref()?))) {
            check.value(&format!("command.metadata.{key}"), text);
        }
    }
    check.id("command.tier_id", upsert.tier_id.as_deref(), MOST_ID_CHARS);
    check.id("command.card_id", upsert.card_id.as_deref(), MOST_ID_CHARS);
    if upsert.referral_code.as_ref().is_some_and(|code| referrer_of(code).is_none()) {
        check.bad("command.referral_code", "must be a customer's id, or the code of one of its cards");
    }
    // By the words that there are: a list may name each as often as it likes.
    for field in ProfileField::ALL.iter().filter(|field| upsert.clear.contains(field) && upsert.sets(**field)) {
        check.bad(format!("command.{}", field.name()), "can't be set and cleared at once");
    }
    let (base_tier, now) = (case.base_tier(book), case.moment.lane_time);
    Proposal { upsert, identifiers, birth_date, registered_on, language, base_tier, now }
}

/// The customer that is meant: the one that the reference names, or the first that an identifier of the payload leads to, in the merchant's
/// `match_by` order.
fn matched(book: &Book, case: &Case<'_>, proposal: &Proposal<'_>) -> Option<CustomerId> {
    match &case.command.envelope.customer {
        Some(reference) => case.find(book, reference),
        None => case.settings.match_by.iter().find_map(|&kind| proposal.holder(book, case, kind)),
    }
}

fn plan(book: &Book, case: &Case<'_>, upsert: &CustomerUpsert, matched: Option<CustomerId>) -> Plan {
    let is_named = case.command.envelope.customer.is_some();
    let Some(customer) = matched else {
        return if is_named || upsert.mode == UpsertMode::Update { Plan::Unknown } else { Plan::Create };
    };
    if book.customer(customer).is_some_and(|customer| customer.incomplete) {
        return Plan::Change(customer, Change::Update);
    }
    let on_match = match (upsert.mode, upsert.on_match) {
        (UpsertMode::Create, _) => OnMatch::Reject,
        (_, Some(on_match)) => on_match,
        // Who says update means it, whatever the merchant wants of those who did not know.
        (UpsertMode::Update, None) => OnMatch::Update,
        (UpsertMode::Upsert, None) => case.settings.on_match,
    };
    match on_match {
        OnMatch::Update => Plan::Change(customer, Change::Update),
        OnMatch::FillMissing => Plan::Change(customer, Change::FillMissing),
        OnMatch::Keep => Plan::Keep,
        OnMatch::Reject => Plan::Exists,
    }
}

/// What would be wrong with the customer afterwards.
fn check_outcome(book: &Book, case: &Case<'_>, proposal: &Proposal<'_>, plan: &Plan, check: &mut FieldCheck) {
    let after = match *plan {
        Plan::Create => proposal.applied(blank(book, case), Change::Update),
        Plan::Change(customer, change) => match book.customer(customer) {
            Some(before) => proposal.applied(before.clone(), change),
            None => return,
        },
        Plan::Keep | Plan::Exists | Plan::Unknown => return,
    };
    for &field in &case.settings.required_fields {
        // What is there and wrong has been named already.
        let path = format!("command.{}", field.name());
        if !field.is_set(&after) && !check.names(&path) {
            check.bad(path, "is required by this merchant");
        }
    }
    let match_by = &case.settings.match_by;
    let is_found = match_by.iter().any(|&kind| after.identifier(kind).is_some() || check.names(&path_of(kind)));
    if !is_found && !case.settings.allow_no_identifier {
        let names: Vec<&str> = match_by.iter().map(|kind| kind.field()).collect();
        check.bad(
            "command",
            format!("needs an identifier by which this merchant finds customers: {}", names.join(" or ")),
        );
    }
    for (field, keys) in [("command.metrics", after.metrics.len()), ("command.metadata", after.metadata.len())] {
        if keys > MOST_KEYS && !check.names(field) {
            check.bad(field, format!("would have {keys} keys; {MOST_KEYS} are the most"));
        }
    }
    let bytes = after.map_bytes();
    let are_named = check.names("command.metrics") || check.names("command.metadata");
    if bytes > MOST_MAP_BYTES && !are_named {
        check
            .bad("command", format!("would have {bytes} bytes of metrics and metadata; {MOST_MAP_BYTES} are the most"));
    }
}

fn path_of(kind: IdentifierKind) -> String {
    format!("command.{}", kind.field())
}

/// A tier that is to be assigned must be there.
fn check_tier(book: &Book, case: &Case<'_>, upsert: &CustomerUpsert) -> Result<(), Rejection> {
    let Some(tier) = &upsert.tier_id else { return Ok(()) };
    let found = case.config(book).and_then(|config| config.tier_at(tier, case.occurred_at));
    if found.is_some() { Ok(()) } else { Err(unknown_tier(tier)) }
}

/// Who referred a new customer.
fn referrer(book: &Book, case: &Case<'_>, upsert: &CustomerUpsert) -> Result<Option<CustomerId>, Rejection> {
    let Some(code) = &upsert.referral_code else { return Ok(None) };
    let by_id = parse_customer_id(code).and_then(|id| case.own_customer(book, id));
    let referrer = by_id.map(|customer| customer.customer_id).or_else(|| case.holder_of_card(book, code));
    referrer.map(Some).ok_or_else(|| {
        Rejection::new(RejectionCode::UnknownCustomer, "The referral_code leads to no customer of this merchant.")
            .with("field", "command.referral_code")
    })
}

/// An identifier that belongs to anybody else is a conflict, never a merge.
fn check_conflict(
    book: &Book,
    case: &Case<'_>,
    proposal: &Proposal<'_>,
    matched: Option<CustomerId>,
) -> Result<(), Rejection> {
    let kinds = proposal.identifiers.iter().map(|(kind, _)| *kind);
    let mut taken = kinds.filter(|&kind| proposal.holder(book, case, kind).is_some_and(|id| Some(id) != matched));
    taken.next().map_or(Ok(()), |kind| {
        let message = format!("The {} belongs to another customer of this merchant.", kind.field());
        Err(Rejection::new(RejectionCode::IdentityConflict, message).with("field", kind.field()))
    })
}

/// A customer that was found by a later identifier of `match_by` keeps the earlier ones that it has: who sends another value there means
/// somebody else, or must say by a reference that it does not.
fn check_replaced(book: &Book, case: &Case<'_>, proposal: &Proposal<'_>, plan: &Plan) -> Result<(), Rejection> {
    let Plan::Change(id, Change::Update) = *plan else { return Ok(()) };
    let Some(customer) = book.customer(id).filter(|_| case.command.envelope.customer.is_none()) else { return Ok(()) };
    let match_by = &case.settings.match_by;
    let found_by = match_by.iter().position(|&kind| proposal.holder(book, case, kind).is_some()).unwrap_or(0);
    let replaced = match_by[..found_by].iter().find(|&&kind| {
        let sent = proposal.identifiers.iter().find(|(sent, _)| *sent == kind);
        sent.zip(customer.identifier(kind)).is_some_and(|((_, sent), known)| sent != known)
    });
    replaced.map_or(Ok(()), |kind| {
        let (field, found) = (kind.field(), match_by[found_by].field());
        let message = format!(
            "The customer that the {found} leads to has another {field}. Name the customer in envelope.customer to replace it."
        );
        Err(Rejection::new(RejectionCode::IdentityConflict, message).with("field", field))
    })
}

/// Whether the customer's profile may change now, by this sender.
fn check_open(
    book: &Book,
    case: &Case<'_>,
    upsert: &CustomerUpsert,
    id: CustomerId,
    change: Change,
) -> Result<(), Rejection> {
    let Some(customer) = book.customer(id) else { return Ok(()) };
    let is_closed = case.settings.profile_change_needs_active && customer.status == CustomerStatus::Inactive;
    let opens_it = change == Change::Update && upsert.active == Some(true);
    if is_closed && !opens_it {
        return Err(Rejection::new(
            RejectionCode::CustomerNotActive,
            "The customer is inactive, and this merchant's inactive profiles are closed.",
        ));
    }
    if let (Some(sent), Some(stored)) = (upsert.source_version, customer.source_version)
        && sent <= stored
    {
        return Err(Rejection::new(RejectionCode::Stale, "A later version of the customer has been applied.")
            .with("sent", sent)
            .with("stored", stored));
    }
    Ok(())
}

impl Proposal<'_> {
    fn holder(&self, book: &Book, case: &Case<'_>, kind: IdentifierKind) -> Option<CustomerId> {
        self.identifiers.iter().find(|(sent, _)| *sent == kind)?;
        case.holder(book, kind, self.sent(kind)?)
    }

    /// An identifier as it was sent.
    fn sent(&self, kind: IdentifierKind) -> Option<&str> {
        match kind {
            IdentifierKind::ExternalId => self.upsert.external_id.as_deref(),
            IdentifierKind::Phone => self.upsert.phone.as_deref(),
            IdentifierKind::Email => self.upsert.email.as_deref(),
        }
    }

    /// The customer with what is sent.
    fn applied(&self, mut customer: Customer, change: Change) -> Customer {
        let upsert = self.upsert;
        let tier_before = customer.tier.clone();
        for (kind, value) in &self.identifiers {
            if change == Change::Update || customer.identifier(*kind).is_none() {
                customer.set_identifier(*kind, Some(value.clone()));
            }
        }
        set(&mut customer.first_name, &upsert.first_name, change);
        set(&mut customer.last_name, &upsert.last_name, change);
        set(&mut customer.name, &upsert.name, change);
        set(&mut customer.birth_date, &self.birth_date, change);
        set(&mut customer.registered_on, &self.registered_on, change);
        set(&mut customer.gender, &upsert.gender, change);
        set(&mut customer.language, &self.language, change);
        set(&mut customer.brand_id, &upsert.brand_id, change);
        if let Some(tier_id) = &upsert.tier_id
            && (change == Change::Update || customer.tier.is_none())
        {
            customer.tier = Some(self.tier(tier_id, true, tier_before.as_ref()));
        }
        set_keys(&mut customer.metrics, &upsert.metrics, change);
        set_keys(&mut customer.metadata, &upsert.metadata, change);
        // What is never missing is not filled, and nothing is cleared.
        if change == Change::Update {
            upsert.clear.iter().for_each(|field| field.clear(&mut customer));
            customer.notify_email = upsert.notify_email.unwrap_or(customer.notify_email);
            customer.notify_phone = upsert.notify_phone.unwrap_or(customer.notify_phone);
            if upsert.clear.contains(&ProfileField::TierId) {
                customer.tier = self.base_tier_for(tier_before.as_ref());
            }
            customer.status = match upsert.active {
                Some(true) => CustomerStatus::Active,
                Some(false) => CustomerStatus::Inactive,
                None => customer.status,
            };
        }
        customer.source_version = upsert.source_version.or(customer.source_version);
        customer.incomplete = false;
        customer
    }

    /// A tier from now on, or since when it was had.
    fn tier(&self, tier_id: &str, is_manual: bool, before: Option<&CustomerTier>) -> CustomerTier {
        let since = before.filter(|before| before.tier_id == tier_id).map_or(self.now, |before| before.since);
        CustomerTier { tier_id: tier_id.to_owned(), since, is_manual }
    }

    fn base_tier_for(&self, before: Option<&CustomerTier>) -> Option<CustomerTier> {
        self.base_tier.as_ref().map(|base| self.tier(&base.tier_id, false, before))
    }
}

fn set<T: Clone>(field: &mut Option<T>, sent: &Option<T>, change: Change) {
    if sent.is_some() && (change == Change::Update || field.is_none()) {
        field.clone_from(sent);
    }
}

fn set_keys<T: Clone>(map: &mut BTreeMap<String, T>, sent: &BTreeMap<String, Option<T>>, change: Change) {
    for (key, value) in sent {
        match value {
            Some(value) if change == Change::Update || !map.contains_key(key) => {
                map.insert(key.clone(), value.clone());
            }
            None if change == Change::Update => {
                map.remove(key);
            }
            Some(_) | None => {}
        }
    }
}

fn blank(book: &Book, case: &Case<'_>) -> Customer {
    case.new_customer(book, case.moment.seed.customer_id())
}

fn create(
    book: &mut Book,
    case: &Case<'_>,
    proposal: &Proposal<'_>,
    referrer: Option<CustomerId>,
    card: Option<&NamedCard>,
) -> (CustomerId, Option<Arc<Entry>>) {
    let mut customer = proposal.applied(blank(book, case), Change::Update);
    customer.referrer_id = referrer;
    customer.cards.extend(card.map(|card| enrolment(case, card)));
    let changed = proposal.upsert.given(&customer);
    let id = customer.customer_id;
    for identifier in customer.identifiers() {
        book.give_identifier(identifier, id);
    }
    book.add_customer(customer);
    let mut facts = vec![Fact::CustomerCreated { changed }];
    let send = proposal.upsert.send_card_links;
    let entry = card.and_then(|card| card.welcome(book, case, id, send, &mut facts));
    book.change_customer(id, case.cause(false), facts);
    (id, entry)
}

fn enrolment(case: &Case<'_>, card: &NamedCard) -> Enrolment {
    Enrolment { card_id: card.id().to_owned(), enrolled_at: case.moment.lane_time }
}

/// `card`: one that the customer does not have yet.
fn update(
    book: &mut Book,
    case: &Case<'_>,
    proposal: &Proposal<'_>,
    id: CustomerId,
    change: Change,
    card: Option<&NamedCard>,
) -> (Effect, Option<Arc<Entry>>) {
    let Some(before) = book.customer(id).cloned() else { return (Effect::Unchanged, None) };
    let mut after = proposal.applied(before.clone(), change);
    after.cards.extend(card.map(|card| enrolment(case, card)));
    let changed = differences(&before, &after);
    if changed.is_empty() {
        return (Effect::Unchanged, None);
    }
    for kind in IdentifierKind::ALL {
        if before.identifier(kind) != after.identifier(kind) {
            if let Some(old) = before.identifier(kind) {
                book.free_identifier(&identifier(case, kind, old.to_owned()));
            }
            if let Some(new) = after.identifier(kind) {
                book.give_identifier(identifier(case, kind, new.to_owned()), id);
            }
        }
    }
    let mut facts = vec![Fact::CustomerUpdated { changed }];
    if before.status != after.status {
        facts.push(match after.status {
            CustomerStatus::Active => Fact::CustomerActivated,
            CustomerStatus::Inactive => Fact::CustomerDeactivated,
        });
    }
    let tier_of = |customer: &Customer| customer.tier.as_ref().map(|tier| tier.tier_id.clone());
    let (from, to) = (tier_of(&before), tier_of(&after));
    if from != to {
        facts.push(Fact::TierChanged { from, to, reason: TierReason::Manual });
    }
    book.replace_profile(id, after);
    let send = proposal.upsert.send_card_links;
    let entry = card.and_then(|card| card.welcome(book, case, id, send, &mut facts));
    book.change_customer(id, case.cause(false), facts);
    (Effect::Updated, entry)
}

fn identifier(case: &Case<'_>, kind: IdentifierKind, value: String) -> Identifier {
    Identifier { merchant_id: case.command.envelope.merchant_id.clone(), kind, value }
}
