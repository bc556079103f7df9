//! How one command is decided. The checks come in the order of the rejections' precedence; the first that fails is the answer.

use std::sync::{Arc, LazyLock};

use crate::domain::book::{Book, Cause};
use crate::domain::case::unknown_customer;
use crate::domain::case::{Case, Moment};
use crate::domain::command::{Body, Command};
use crate::domain::config::history::Version;
use crate::domain::config::settings::{KeyForm, MerchantStatus, Settings, UnknownCustomer};
use crate::domain::customer::identifiers::Identifier;
use crate::domain::ledger::balance::Balance;
use crate::domain::membership::Membership;
use crate::domain::outcome::{Decision, KeyHash, Outcome, Remembered};
use crate::domain::parking::{MAX_WAITING, Parked, Wait};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::rules;
use crate::domain::values::position::{CommandTopic, Position};
use crate::domain::values::text::is_deceptive_in_id;
use crate::domain::values::time::Instant;

/// What a command is answered with.
#[derive(Debug)]
struct Answer {
    original: Option<Position>,
    decision: Arc<Decision>,
    balances: Vec<Balance>,
    membership: Option<Box<Membership>>,
    remembered_by: Option<KeyHash>,
}

impl Answer {
    fn of(decision: Arc<Decision>) -> Answer {
        Answer { original: None, decision, balances: Vec::new(), membership: None, remembered_by: None }
    }

    fn to(self, command: Box<Command>, moment: Moment, parked_at: Option<Instant>) -> Outcome {
        let Answer { original, decision, balances, membership, remembered_by } = self;
        let Moment { position, seed, .. } = moment;
        Outcome { position, seed, command, original, decision, balances, membership, parked_at, remembered_by }
    }
}

/// Decides a command: after those whose deadline has come, and before those that wait for whom it made.
pub fn decide(book: &mut Book, command: Box<Command>, moment: Moment, mut tell: impl FnMut(Outcome)) {
    expire(book, moment.lane_time, &mut tell);
    match judge(book, &command, moment, None) {
        Ok(answer) => tell(answer.to(command, moment, None)),
        Err(wait) => park(book, command, moment, wait),
    }
    // Whoever has waited is about somebody who is there, and makes nobody.
    while let Some(parked) = book.parking.take_met() {
        let moment = parked.moment(moment.lane_time);
        let answer = judge(book, &parked.command, moment, Some(&parked.awaits));
        let answer = answer.unwrap_or_else(|_| give_up(book, &parked, moment.lane_time));
        tell(answer.to(parked.command, moment, Some(parked.parked_at)));
    }
}

/// Answers all whose deadline has come by now, each as of its deadline.
pub fn expire(book: &mut Book, now: Instant, mut tell: impl FnMut(Outcome)) {
    while let Some(parked) = book.parking.take_due(now) {
        let answer = give_up(book, &parked, parked.deadline);
        let moment = parked.moment(parked.deadline);
        tell(answer.to(parked.command, moment, Some(parked.parked_at)));
    }
}

fn park(book: &mut Book, command: Box<Command>, moment: Moment, wait: Wait) {
    let Moment { position, seed, record_time, lane_time, place } = moment;
    let Wait { awaits, deadline, config_version } = wait;
    let parked =
        Parked { position, seed, record_time, place, parked_at: lane_time, deadline, config_version, awaits, command };
    let cause = Cause {
        seed,
        command: Some((&*parked.command, position)),
        occurred_at: parked.command.occurred_at(record_time),
        recorded_at: lane_time,
        skip_notifications: false,
    };
    book.announce_parked(&parked, cause);
    book.parking.insert(parked, false);
}

impl Parked {
    /// It is decided as if it came now; its business time is its own.
    fn moment(&self, now: Instant) -> Moment {
        let Parked { position, seed, record_time, place, .. } = *self;
        Moment { position, seed, record_time, lane_time: now, place }
    }
}

/// Those of a merchant that has defined units only.
static DEFAULT_SETTINGS: LazyLock<Arc<Version<Settings>>> = LazyLock::new(|| {
    let (effective_from, recorded_at) = (Instant::BEGINNING, Instant::BEGINNING);
    Arc::new(Version { version: 0, effective_from, recorded_at, content: Settings::default() })
});

/// Answers a command that has waited in vain.
fn give_up(book: &mut Book, parked: &Parked, at: Instant) -> Answer {
    let key_hash = parked.key_hash();
    let occurred_at = parked.command.occurred_at(parked.record_time);
    // By the first delivery.
    if let Some(first) = book.remembered.get(&key_hash) {
        return known(first, &parked.command, occurred_at, at);
    }
    let config_version = parked.config_version;
    let decision = Arc::new(Decision { config_version, ..refusal(unknown_customer(), occurred_at, at) });
    remember(book, key_hash, &parked.command, parked.position, &decision);
    Answer { remembered_by: Some(key_hash), ..Answer::of(decision) }
}

/// Decides one command and changes the book accordingly, or lets it wait. A rejected command changes nothing beyond what time had settled
/// anyway.
fn judge(book: &mut Book, command: &Command, moment: Moment, awaits: Option<&Identifier>) -> Result<Answer, Wait> {
    let envelope = &command.envelope;
    let occurred_at = command.occurred_at(moment.record_time);
    let unremembered = |rejection| Ok(unremembered(rejection, occurred_at, moment.lane_time));

    let config = book.config(&envelope.merchant_id);
    // A malformed merchant-config command is told what is wrong with it, not to send one.
    if config.is_none() && moment.position.topic != CommandTopic::MerchantConfig {
        return unremembered(Rejection::new(
            RejectionCode::UnknownMerchant,
            "The merchant has no configuration yet: send a merchant-config command first.",
        ));
    }
    let in_force = config.and_then(|config| config.settings_at(occurred_at)).cloned();
    let settings_version = in_force.as_ref().map(|version| version.version);
    let settings = in_force.unwrap_or_else(|| DEFAULT_SETTINGS.clone());
    let key = envelope.idempotency_key.as_str();
    if let Err(problem) = check_key(key, KeyForm::Any) {
        let of_form = command.problems.iter().find(|bad| bad.field == "envelope.idempotency_key");
        let message = of_form.map_or_else(|| problem.to_owned(), |bad| format!("idempotency_key {}.", bad.problem));
        return unremembered(Rejection::new(RejectionCode::InvalidIdempotencyKey, message));
    }

    // Before what is remembered: what is not supported today may be tomorrow.
    if command.body.is_none() && command.problems.is_empty() {
        let message = "This version of the worker knows no command of this topic.";
        return unremembered(Rejection::new(RejectionCode::UnsupportedCommand, message));
    }

    let key_hash = KeyHash::of(&envelope.merchant_id, &envelope.idempotency_key);
    if let Some(first) = book.remembered.get(&key_hash) {
        return Ok(known(first, command, occurred_at, moment.lane_time));
    }
    // One that has waited is decided before its further deliveries, which wait still.
    if awaits.is_none()
        && let Some(first) = book.parking.first(&key_hash)
    {
        return wait_beside(book, first, command).map_or_else(unremembered, Err);
    }

    // The merchant's own form is asked of new keys only: a command from before the setting is still the same command, and so
    // is one that has waited.
    if awaits.is_none()
        && let Err(problem) = check_key(key, settings.key_form)
    {
        return unremembered(Rejection::new(RejectionCode::InvalidIdempotencyKey, problem));
    }
    let mut case = Case {
        command,
        moment,
        occurred_at,
        settings,
        awaits,
        customer: None,
        unit: None,
        entries: Vec::new(),
        version: None,
    };
    let judged = check_merchant(&case).and_then(|()| check_business_time(&case)).and_then(|()| match &command.body {
        Some(body) => rules::judge(body, book, &mut case),
        None => Err(Rejection::invalid_fields(command.problems.clone())),
    });
    if let Err(rejection) = &judged
        && let Some(wait) = wait(book, &case, rejection, settings_version)
    {
        return Err(wait);
    }
    let Case { customer, unit, entries, version, .. } = case;
    let decision = Arc::new(Decision {
        customer_id: customer,
        customer_version: customer.and_then(|id| book.customer(id)).map(|customer| customer.version),
        config_version: version.or(settings_version),
        entries,
        occurred_at,
        decided_at: moment.lane_time,
        verdict: judged,
    });
    let balances = customer.zip(unit).map(|(customer, unit)| book.balance(customer, &unit)).into_iter().collect();
    let membership = match (&command.body, customer) {
        (Some(Body::CustomerUpsert(_)), Some(customer)) if decision.verdict.is_ok() => {
            book.membership(customer, moment.lane_time)
        }
        _ => None,
    };
    remember(book, key_hash, command, moment.position, &decision);
    Ok(Answer { original: None, decision, balances, membership, remembered_by: Some(key_hash) })
}

fn remember(book: &mut Book, key: KeyHash, command: &Command, position: Position, decision: &Arc<Decision>) {
    let (content_hash, decision) = (command.content_hash, decision.clone());
    book.remembered.insert(key, Remembered { position, content_hash, decision });
}

/// The answer under a key that was decided before.
fn known(first: &Remembered, command: &Command, occurred_at: Instant, decided_at: Instant) -> Answer {
    if first.content_hash != command.content_hash {
        return unremembered(conflict(first.position), occurred_at, decided_at);
    }
    let decision = first.decision.clone();
    Answer { original: Some(first.position), ..Answer::of(decision) }
}

fn unremembered(rejection: Rejection, occurred_at: Instant, decided_at: Instant) -> Answer {
    Answer::of(Arc::new(refusal(rejection, occurred_at, decided_at)))
}

/// What a command waits for that is refused because nobody has its identifier.
fn wait(book: &Book, case: &Case<'_>, rejection: &Rejection, config_version: Option<i64>) -> Option<Wait> {
    let settings = &case.settings;
    let may_wait = settings.unknown_customer == UnknownCustomer::Park && case.command.problems.is_empty();
    if !may_wait
        || rejection.code != RejectionCode::UnknownCustomer
        || !case.command.body.as_ref().is_some_and(rules::may_park)
    {
        return None;
    }
    let reference = case.command.envelope.customer.as_ref()?;
    let kind = reference.kind.identifier()?;
    let awaits = case.identifier(kind, &reference.value)?;
    let deadline = case.moment.lane_time.saturating_add_seconds(settings.park_s);
    (book.parking.commands(&awaits) < MAX_WAITING).then_some(Wait { awaits, deadline, config_version })
}

/// A further delivery of a command that waits: it is decided after the first, whose duplicate it is then.
fn wait_beside(book: &Book, first: &Parked, command: &Command) -> Result<Wait, Rejection> {
    if first.command.content_hash != command.content_hash {
        return Err(conflict(first.position));
    }
    if book.parking.further_deliveries(&first.awaits) >= MAX_WAITING {
        return Err(Rejection::new(
            RejectionCode::IdempotencyConflict,
            "This very command waits for its customer and will be answered where it stood first. It came again too often to wait once more.",
        )
        .with("first", format!("{:?}", first.position)));
    }
    let Parked { awaits, deadline, config_version, .. } = first;
    Ok(Wait { awaits: awaits.clone(), deadline: *deadline, config_version: *config_version })
}

fn conflict(first: Position) -> Rejection {
    Rejection::new(
        RejectionCode::IdempotencyConflict,
        "Another command of this merchant has used this idempotency_key with other content.",
    )
    .with("first", format!("{first:?}"))
}

fn check_key(key: &str, form: KeyForm) -> Result<(), &'static str> {
    let length = key.chars().count();
    match form {
        KeyForm::Any if key.contains(is_deceptive_in_id) => Err(
            "idempotency_key must not contain control characters, invisible characters or halves of surrogate pairs.",
        ),
        KeyForm::Any if (1..=255).contains(&length) && !key.trim().is_empty() => Ok(()),
        KeyForm::Any => Err("idempotency_key must have 1 to 255 characters, not only spaces."),
        KeyForm::Token => {
            let is_token = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
            if is_token && (1..=100).contains(&length) {
                return Ok(());
            }
            Err("idempotency_key must have 1 to 100 of the characters A-Z a-z 0-9 _ - for this merchant.")
        }
    }
}

/// A suspended merchant's commands are refused, but for those that may lift it.
fn check_merchant(case: &Case<'_>) -> Result<(), Rejection> {
    let is_config = case.moment.position.topic == CommandTopic::MerchantConfig;
    match case.settings.status {
        MerchantStatus::Suspended if !is_config => Err(Rejection::new(
            RejectionCode::MerchantSuspended,
            "The merchant is suspended at the command's business time.",
        )),
        MerchantStatus::Suspended | MerchantStatus::Active => Ok(()),
    }
}

/// Rule 3: business time lies within the merchant's window around the record's timestamp.
fn check_business_time(case: &Case<'_>) -> Result<(), Rejection> {
    let earliest = case.moment.record_time.saturating_add_seconds(-case.settings.max_age_s);
    let latest = case.moment.record_time.saturating_add_seconds(case.settings.max_future_s);
    if (earliest..=latest).contains(&case.occurred_at) {
        return Ok(());
    }
    Err(Rejection::new(
        RejectionCode::OccurredAtOutOfRange,
        "occurred_at is too old or too far ahead for this merchant's settings max_age_s and max_future_s.",
    )
    .with("earliest", earliest)
    .with("latest", latest))
}

fn refusal(rejection: Rejection, occurred_at: Instant, decided_at: Instant) -> Decision {
    Decision {
        verdict: Err(rejection),
        customer_id: None,
        customer_version: None,
        config_version: None,
        entries: Vec::new(),
        occurred_at,
        decided_at,
    }
}
