//! Creating a customer, or changing the fields that are set.

use super::book::Book;
use super::command::CustomerUpsert;
use super::customer::{Customer, CustomerStatus, Identifier, IdentifierKind};
use super::fields::FieldCheck;
use super::judge::{Accepted, Case, Touched};
use super::{CustomerId, Effect, Fact, Rejection, RejectionCode, settle};

/// The payload, normalised.
struct Profile {
    identifiers: Vec<(IdentifierKind, String)>,
    birth_date: Option<jiff::civil::Date>,
}

pub(super) fn judge(
    book: &mut Book,
    case: &Case<'_>,
    upsert: &CustomerUpsert,
    touched: &mut Touched,
) -> Result<Accepted, Rejection> {
    let profile = check_fields(case, upsert)?;
    let effect = match matching(book, case, &profile, touched)? {
        Some(customer) => update(book, case, upsert, profile, customer),
        None => {
            touched.customer = Some(create(book, case, upsert, profile));
            Effect::Created
        }
    };
    Ok(Accepted { effect, entries: Vec::new(), config_version: None })
}

fn check_fields(case: &Case<'_>, upsert: &CustomerUpsert) -> Result<Profile, Rejection> {
    let mut check = FieldCheck::default();
    case.check_reference(&mut check);
    let sent = [
        (IdentifierKind::ExternalId, "command.external_id", &upsert.external_id),
        (IdentifierKind::Phone, "command.phone", &upsert.phone),
        (IdentifierKind::Email, "command.email", &upsert.email),
    ];
    if case.command.envelope.customer.is_none() && sent.iter().all(|(_, _, value)| value.is_none()) {
        check.bad("command", "needs external_id, phone or email, or a reference in envelope.customer");
    }
    let identifiers = sent
        .into_iter()
        .filter_map(|(kind, field, value)| Some((kind, check.identifier(field, kind, value.as_deref())?)))
        .collect();
    check.text("command.first_name", upsert.first_name.as_deref(), 255);
    check.text("command.last_name", upsert.last_name.as_deref(), 255);
    // Today where the customer may be: the date line is at most 14 hours ahead of UTC.
    let today = case.moment.lane_time.saturating_add_seconds(14 * 60 * 60).utc_date();
    let birth_date = check.date("command.birth_date", upsert.birth_date.as_deref(), today);
    check.done()?;
    Ok(Profile { identifiers, birth_date })
}

/// The customer that is meant: the one that the reference names, or the first that an identifier of the payload leads to, in the merchant's
/// `match_by` order. An identifier that belongs to anybody else is a conflict, never a merge.
fn matching(
    book: &mut Book,
    case: &Case<'_>,
    profile: &Profile,
    touched: &mut Touched,
) -> Result<Option<CustomerId>, Rejection> {
    let holder = |book: &Book, kind: IdentifierKind| {
        let (_, value) = profile.identifiers.iter().find(|(sent, _)| *sent == kind)?;
        book.holder(&identifier(case, kind, value.clone()))
    };
    let by_reference = case.command.envelope.customer.is_some();
    let matched = if by_reference { None } else { case.settings.match_by.iter().find_map(|&kind| holder(book, kind)) };
    let conflicting = |book: &Book, with: Option<CustomerId>| {
        profile
            .identifiers
            .iter()
            .map(|(kind, _)| *kind)
            .find(|&kind| holder(book, kind).is_some_and(|id| Some(id) != with))
    };
    // A conflict precedes an unknown reference; with a reference it is judged against whom that names.
    let named = if by_reference { case.named_customer(book, touched) } else { Ok(CustomerId(uuid::Uuid::nil())) };
    let meant = if by_reference { named.as_ref().ok().copied() } else { matched };
    if let Some(kind) = conflicting(book, meant) {
        return Err(Rejection::new(
            RejectionCode::IdentityConflict,
            format!("The {} belongs to another customer of this merchant.", kind.field()),
        )
        .with("field", kind.field()));
    }
    if by_reference {
        return named.map(Some);
    }
    if let Some(customer) = matched {
        touched.customer = Some(customer);
        settle::settle_customer(book, customer, case.moment.lane_time);
    }
    Ok(matched)
}

fn create(book: &mut Book, case: &Case<'_>, upsert: &CustomerUpsert, profile: Profile) -> CustomerId {
    let id = case.moment.seed.customer_id();
    let mut customer = Customer {
        customer_id: id,
        merchant_id: case.command.envelope.merchant_id.clone(),
        version: 0,
        status: if upsert.active == Some(false) { CustomerStatus::Inactive } else { CustomerStatus::Active },
        external_id: None,
        phone: None,
        email: None,
        first_name: upsert.first_name.clone(),
        last_name: upsert.last_name.clone(),
        birth_date: profile.birth_date,
        notify_email: upsert.notify_email.unwrap_or(false),
        notify_phone: upsert.notify_phone.unwrap_or(false),
        created_at: case.moment.lane_time,
        updated_at: case.moment.lane_time,
    };
    for (kind, value) in profile.identifiers {
        book.give_identifier(identifier(case, kind, value.clone()), id);
        customer.set_identifier(kind, Some(value));
    }
    book.add_customer(customer);
    let facts = vec![Fact::CustomerCreated { changed: sent_fields(upsert) }];
    book.change_customer(id, case.cause(false), facts);
    id
}

fn update(book: &mut Book, case: &Case<'_>, upsert: &CustomerUpsert, profile: Profile, id: CustomerId) -> Effect {
    let Some(before) = book.customer(id).cloned() else { return Effect::Unchanged };
    let mut after = before.clone();
    for (kind, value) in profile.identifiers {
        after.set_identifier(kind, Some(value));
    }
    replace(&mut after.first_name, &upsert.first_name);
    replace(&mut after.last_name, &upsert.last_name);
    after.birth_date = profile.birth_date.or(after.birth_date);
    after.notify_email = upsert.notify_email.unwrap_or(after.notify_email);
    after.notify_phone = upsert.notify_phone.unwrap_or(after.notify_phone);
    after.status = match upsert.active {
        Some(true) => CustomerStatus::Active,
        Some(false) => CustomerStatus::Inactive,
        None => after.status,
    };
    let changed = differences(&before, &after);
    if changed.is_empty() {
        return Effect::Unchanged;
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
    book.change_profile(id, case.cause(false), facts, |customer| *customer = after);
    Effect::Updated
}

fn identifier(case: &Case<'_>, kind: IdentifierKind, value: String) -> Identifier {
    Identifier { merchant_id: case.command.envelope.merchant_id.clone(), kind, value }
}

fn replace(field: &mut Option<String>, sent: &Option<String>) {
    if sent.is_some() {
        field.clone_from(sent);
    }
}

fn sent_fields(upsert: &CustomerUpsert) -> Vec<&'static str> {
    [
        ("external_id", upsert.external_id.is_some()),
        ("phone", upsert.phone.is_some()),
        ("email", upsert.email.is_some()),
        ("first_name", upsert.first_name.is_some()),
        ("last_name", upsert.last_name.is_some()),
        ("birth_date", upsert.birth_date.is_some()),
        ("status", upsert.active.is_some()),
        ("notify_email", upsert.notify_email.is_some()),
        ("notify_phone", upsert.notify_phone.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, sent)| sent.then_some(field))
    .collect()
}

fn differences(before: &Customer, after: &Customer) -> Vec<&'static str> {
    [
        ("external_id", before.external_id != after.external_id),
        ("phone", before.phone != after.phone),
        ("email", before.email != after.email),
        ("first_name", before.first_name != after.first_name),
        ("last_name", before.last_name != after.last_name),
        ("birth_date", before.birth_date != after.birth_date),
        ("status", before.status != after.status),
        ("notify_email", before.notify_email != after.notify_email),
        ("notify_phone", before.notify_phone != after.notify_phone),
    ]
    .into_iter()
    .filter_map(|(field, differs)| differs.then_some(field))
    .collect()
}
