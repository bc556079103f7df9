//! Creating a customer, or changing the fields that are set.
//!
//! A customer that a credit enrolled is `incomplete`: it has an identifier, and nobody has said more of it. An upsert that finds it is its
//! sign-up, so it is filled as by `update` whatever mode and `on_match` are for those that exist. What the merchant requires is asked of it
//! then, as of every upsert, and it is incomplete no more.

use std::sync::Arc;

use crate::domain::book::Book;
use crate::domain::case::{Case, unknown_tier};
use crate::domain::command::{CustomerUpsert, UpsertMode};
use crate::domain::config::objects::Tier;
use crate::domain::config::settings::OnMatch;
use crate::domain::customer::changes::differences;
use crate::domain::customer::enrolment::{Enrolment, referrer_of};
use crate::domain::customer::identifiers::{Identifier, IdentifierKind};
use crate::domain::customer::state::{Customer, CustomerStatus};
use crate::domain::event::{Fact, TierReason};
use crate::domain::field_check::FieldCheck;
use crate::domain::ledger::entry::Entry;
use crate::domain::outcome::Effect;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::rule::{Keys, Rule};
use crate::domain::rules::card_enrolment;
use crate::domain::rules::card_enrolment::NamedCard;
use crate::domain::rules::customer_proposal::{Change, MAX_KEYS, Proposal, check_form};
use crate::domain::settle;
use crate::domain::values::ids::{CustomerId, MerchantId, parse_customer_id};

/// Of a customer's metrics and metadata together, as they are stored.
const MAX_MAP_BYTES: usize = 8 * 1024;

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

impl Rule for CustomerUpsert {
    fn keys(&self, merchant: &MerchantId, keys: &mut Keys) {
        keys.identifier(merchant, IdentifierKind::ExternalId, self.external_id.as_ref());
        keys.identifier(merchant, IdentifierKind::Phone, self.phone.as_ref());
        keys.identifier(merchant, IdentifierKind::Email, self.email.as_ref());
        keys.customers.extend(self.referral_code.as_deref().and_then(referrer_of));
    }

    fn judge(&self, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
        judge(self, book, case)
    }
}

fn judge(upsert: &CustomerUpsert, book: &mut Book, case: &mut Case<'_>) -> Result<Effect, Rejection> {
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
        case.named_customer(book)?;
    }
    check_conflict(book, case, &proposal, matched)?;
    check_replaced(book, case, &proposal, &plan)?;
    if let Some(customer) = matched {
        case.customer = Some(customer);
        settle::settle_customer(book, customer, case.moment.lane_time);
    }
    let (effect, entry) = match plan {
        Plan::Create => {
            let referrer = referrer(book, case, upsert)?;
            card.as_ref().map_or(Ok(()), NamedCard::check_open)?;
            let (customer, entry) = create(book, case, &proposal, referrer, card.as_ref());
            case.customer = Some(customer);
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
    case.unit = entry.as_ref().map(|entry| entry.unit_id.clone());
    case.entries.extend(entry);
    Ok(effect)
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
        if keys > MAX_KEYS && !check.names(field) {
            check.bad(field, format!("would have {keys} keys; {MAX_KEYS} are the most"));
        }
    }
    let bytes = after.map_bytes();
    let are_named = check.names("command.metrics") || check.names("command.metadata");
    if bytes > MAX_MAP_BYTES && !are_named {
        check.bad("command", format!("would have {bytes} bytes of metrics and metadata; {MAX_MAP_BYTES} are the most"));
    }
}

fn path_of(kind: IdentifierKind) -> String {
    format!("command.{}", kind.field())
}

/// A tier that is to be assigned must be there.
fn check_tier(book: &Book, case: &Case<'_>, upsert: &CustomerUpsert) -> Result<(), Rejection> {
    let Some(tier) = &upsert.tier_id else { return Ok(()) };
    let found = case.config(book).and_then(|config| config.at::<Tier>(tier, case.occurred_at));
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
