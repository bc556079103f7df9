//! From what a batch decided to the outgoing records: the whole outbound mapping. Lists are bounded here, so that no record outgrows
//! what a broker takes.

use std::borrow::Cow;

use super::wire::{
    AccountState, BalanceRecord, ConfigChange, CustomerState, EntryRecord, EventRecord, EventUnit, FieldProblemRecord,
    Id, LotShareRecord, LotState, MemberCardRecord, MemberRewardRecord, MemberTierRecord, MetricState, Micros,
    NotifyRecord, ParkedRecord, PositionRecord, RejectionRecord, ResultRecord, TierChange,
};
use crate::domain::config::Unit;
use crate::domain::config::objects::CardReward;
use crate::domain::customer::Customer;
use crate::domain::{
    Account, Balance, CommandTopic, Counted, Entry, Event, Fact, Instant, MemberCard, MemberTier, Membership, Notify,
    OrderId, Outcome, Position, Rejection,
};
use crate::record::TopicNames;

/// Lots that an entry names; beside them stands how many there are.
const MAX_LOT_SHARES: usize = 100;
/// Lots that a state lists for one account.
const MAX_LOTS: usize = 64;
/// Lots that a state lists in all: with as many cards as there may be, it stays below what a broker takes.
const MAX_STATE_LOTS: usize = 2048;

/// Characters of an idempotency key. One that has more was refused for it, and may fill a record: as JSON, six times over.
const MAX_KEY_CHARS: usize = 255;

/// The full names of the command topics, made once and borrowed by every record.
pub(super) struct Topics([String; CommandTopic::COUNT]);

impl Topics {
    pub(super) fn new(names: &TopicNames) -> Topics {
        Topics(CommandTopic::ALL.map(|topic| names.command(topic)))
    }

    pub(super) fn name(&self, topic: CommandTopic) -> &str {
        &self.0[topic.index()]
    }

    pub(super) fn position(&self, position: Position) -> PositionRecord<'_> {
        let Position { topic, partition, offset } = position;
        PositionRecord { topic: self.name(topic).into(), partition, offset }
    }
}

pub(super) fn result<'a>(outcome: &'a Outcome, topics: &'a Topics) -> ResultRecord<'a> {
    let envelope = &outcome.command.envelope;
    let decision = &outcome.decision;
    let (effect, rejected) = match &decision.verdict {
        Ok(effect) => (Some(effect.name().into()), None),
        Err(rejected) => (None, Some(rejection(rejected))),
    };
    ResultRecord {
        result_id: Id(outcome.seed.result_id().0),
        source: envelope.source.as_deref().map(Cow::from),
        command: topics.position(outcome.position),
        merchant_id: envelope.merchant_id.as_str().into(),
        idempotency_key: beginning(envelope.idempotency_key.as_str(), MAX_KEY_CHARS).into(),
        command_kind: outcome.command.kind().into(),
        customer_id: decision.customer_id.map(|id| Id(id.0)),
        status: status(outcome).into(),
        duplicate: outcome.original.is_some(),
        original: outcome.original.map(|position| topics.position(position)),
        effect,
        rejection: rejected,
        occurred_at: micros(decision.occurred_at),
        decided_at: micros(decision.decided_at),
        config_version: decision.config_version,
        customer_version: decision.customer_version,
        transactions: decision.entries.iter().map(|line| entry(line)).collect(),
        balances: outcome.balances.iter().map(balance).collect(),
        attributes: envelope
            .attributes
            .iter()
            .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
            .collect(),
        parked_at: outcome.parked_at.map(micros),
        tier_id: outcome.membership.as_deref().and_then(|it| it.tier.as_ref()).map(|tier| tier.tier_id.as_str().into()),
        cards: cards(outcome.membership.as_deref()),
    }
}

pub(super) fn status(outcome: &Outcome) -> &'static str {
    if outcome.decision.verdict.is_ok() { "accepted" } else { "rejected" }
}

pub(super) fn event<'a>(event: &'a Event, topics: &'a Topics) -> EventRecord<'a> {
    let mut record = EventRecord {
        event_id: Id(event.event_id.0),
        type_name: event.fact.event_type().name().into(),
        merchant_id: event.merchant_id.as_str().into(),
        customer_id: event.customer_id.map(|id| Id(id.0)),
        version: event.version,
        index: count(event.index),
        count: count(event.count),
        occurred_at: micros(event.occurred_at),
        recorded_at: micros(event.recorded_at),
        cause: event.cause.map(|position| topics.position(position)),
        notify: event.notify.as_deref().map(notify),
        skip_notifications: event.skip_notifications,
        changed: Vec::new(),
        entry: None,
        balances: Vec::new(),
        config: None,
        parked: None,
        card: None,
        send_card_links: false,
        reward: None,
        tier: None,
        unit: None,
        expires_at: None,
        last_day: None,
    };
    match &event.fact {
        Fact::CustomerCreated { changed } | Fact::CustomerUpdated { changed } => {
            record.changed = changed.iter().map(|field| Cow::from(*field)).collect();
        }
        Fact::CustomerActivated | Fact::CustomerDeactivated => {}
        Fact::Posted { entry: line, balance: after, counted, end } => {
            record.entry = Some(entry(line));
            record.balances = vec![balance(after)];
            match counted {
                Counted::Unit(unit) => record.unit = unit.as_deref().map(|unit| event_unit(unit)),
                Counted::Card(card) => record.card = Some(member_card(card)),
            }
            record.expires_at = end.map(|end| micros(end.at));
            record.last_day = end.and_then(|end| end.last_day).map(|day| day.to_string().into());
        }
        Fact::CardEnrolled { card, send_card_links } => {
            record.card = Some(member_card(card));
            record.send_card_links = *send_card_links;
        }
        Fact::CardRewardReached { reward, card } => {
            record.card = Some(member_card(card));
            record.reward = Some(member_reward(reward, card.stamps));
        }
        Fact::TierChanged { from, to, reason } => {
            let text = |tier: &'a Option<String>| tier.as_deref().map(Cow::from);
            record.tier = Some(TierChange { from: text(from), to: text(to), reason: reason.name().into() });
        }
        Fact::ConfigChanged { object } => {
            let content = serde_json::to_string(&object.content());
            record.config = Some(ConfigChange {
                object: object.kind().name().into(),
                // Settings are the merchant's.
                id: if object.id().is_empty() { event.merchant_id.as_str() } else { object.id() }.into(),
                version: object.version(),
                effective_from: micros(object.effective_from()),
                content: content.expect("texts, numbers, lists and maps by text are JSON").into(),
            });
        }
        Fact::CommandParked { idempotency_key, deadline } => {
            let idempotency_key = idempotency_key.as_str().into();
            record.parked = Some(ParkedRecord { idempotency_key, deadline: micros(*deadline) });
        }
    }
    record
}

pub(super) fn customer_state<'a>(
    customer: &'a Customer,
    accounts: &'a [Account],
    membership: Option<&'a Membership>,
) -> CustomerState<'a> {
    let mut lots_left = MAX_STATE_LOTS;
    CustomerState {
        customer_id: Id(customer.customer_id.0),
        merchant_id: customer.merchant_id.as_str().into(),
        external_id: customer.external_id.as_deref().map(Cow::from),
        phone: customer.phone.as_deref().map(Cow::from),
        email: customer.email.as_deref().map(Cow::from),
        first_name: customer.first_name.as_deref().map(Cow::from),
        last_name: customer.last_name.as_deref().map(Cow::from),
        birth_date: customer.birth_date.map(|date| date.to_string().into()),
        notify_email: customer.notify_email,
        notify_phone: customer.notify_phone,
        status: customer.status.name().into(),
        version: customer.version,
        created_at: micros(customer.created_at),
        updated_at: micros(customer.updated_at),
        accounts: accounts.iter().map(|account| account_state(account, &mut lots_left)).collect(),
        name: customer.name.as_deref().map(Cow::from),
        gender: customer.gender.map(|gender| gender.name().into()),
        registered_on: customer.registered_on.map(|date| date.to_string().into()),
        language: customer.language.as_deref().map(Cow::from),
        brand_id: customer.brand_id.as_deref().map(Cow::from),
        source_version: customer.source_version,
        metrics: customer
            .metrics
            .iter()
            .map(|(key, metric)| (key.into(), MetricState { value: metric.value, scale: metric.scale }))
            .collect(),
        metadata: customer.metadata.iter().map(|(key, text)| (key.into(), text.into())).collect(),
        incomplete: customer.incomplete,
        programme_id: customer.programme_id.as_deref().map(Cow::from),
        tier: membership.and_then(|membership| membership.tier.as_ref()).map(member_tier),
        referrer_id: customer.referrer_id.map(|id| Id(id.0)),
        cards: cards(membership),
    }
}

fn member_tier(tier: &MemberTier) -> MemberTierRecord<'_> {
    MemberTierRecord {
        tier_id: tier.tier_id.as_str().into(),
        name: tier.name.as_str().into(),
        since: micros(tier.since),
        manual: tier.is_manual,
    }
}

fn cards(membership: Option<&Membership>) -> Vec<MemberCardRecord<'_>> {
    membership.map_or_else(Vec::new, |membership| membership.cards.iter().map(member_card).collect())
}

fn member_card(card: &MemberCard) -> MemberCardRecord<'_> {
    MemberCardRecord {
        card_id: card.card_id.as_str().into(),
        name: card.name.as_str().into(),
        code: card.code.as_str().into(),
        stamps: card.stamps,
        stamps_required: card.stamps_required,
        rewards: card.rewards.iter().map(|reward| member_reward(reward, card.stamps)).collect(),
        enrolled_at: micros(card.enrolled_at),
        apple_wallet_url: card.apple_wallet_url.as_deref().map(Cow::from),
        google_wallet_url: card.google_wallet_url.as_deref().map(Cow::from),
    }
}

fn member_reward(reward: &CardReward, stamps: i64) -> MemberRewardRecord<'_> {
    MemberRewardRecord {
        reward_id: reward.reward_id.as_str().into(),
        name: reward.name.as_str().into(),
        stamps: reward.stamps,
        reached: stamps >= i64::from(reward.stamps),
    }
}

/// Within the range that RFC 3339 holds: the beginning of time is 1900.
pub(super) fn micros(instant: Instant) -> Micros {
    Micros(instant.clamp(Instant::EARLIEST, Instant::LATEST).micros())
}

fn beginning(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

pub(super) fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

fn rejection(rejection: &Rejection) -> RejectionRecord<'_> {
    RejectionRecord {
        code: rejection.code.name().into(),
        message: rejection.message.as_str().into(),
        fields: rejection
            .fields
            .iter()
            .map(|bad| FieldProblemRecord { field: bad.field.as_str().into(), problem: bad.problem.as_str().into() })
            .collect(),
        detail: rejection.detail.iter().map(|(key, value)| (Cow::from(&**key), Cow::from(value.as_str()))).collect(),
    }
}

fn entry(entry: &Entry) -> EntryRecord<'_> {
    EntryRecord {
        transaction_id: Id(entry.transaction_id.0),
        seq: entry.seq,
        kind: entry.kind.name().into(),
        direction: entry.kind.direction().name().into(),
        unit: entry.unit_id.as_str().into(),
        amount: entry.amount,
        balance_before: entry.balance_before(),
        balance_after: entry.balance_after,
        lots: entry
            .lots
            .iter()
            .take(MAX_LOT_SHARES)
            .map(|share| LotShareRecord { lot_id: Id(share.lot_id.0), amount: share.amount })
            .collect(),
        lots_total: count(entry.lots.len()),
        unit_version: entry.unit_version,
        order_id: entry.order_id.as_ref().map(OrderId::as_str).map(Cow::from),
        reason: entry.reason.as_deref().map(Cow::from),
        title: entry.title.as_deref().map(Cow::from),
        occurred_at: micros(entry.occurred_at),
        recorded_at: micros(entry.recorded_at),
    }
}

fn event_unit(unit: &Unit) -> EventUnit<'_> {
    EventUnit {
        name: unit.name.as_str().into(),
        kind: unit.kind.name().into(),
        scale: unit.scale,
        currency: unit.currency.as_deref().map(Cow::from),
    }
}

fn balance(balance: &Balance) -> BalanceRecord<'_> {
    BalanceRecord {
        unit: balance.unit_id.as_str().into(),
        available: balance.available,
        pending: balance.pending,
        held: balance.held,
        debt: balance.debt,
        balance: balance.total(),
        lifetime_earned: balance.lifetime_earned,
    }
}

fn notify(notify: &Notify) -> NotifyRecord<'_> {
    NotifyRecord {
        email: notify.email,
        phone: notify.phone,
        to_email: notify.to_email.as_deref().map(Cow::from),
        to_phone: notify.to_phone.as_deref().map(Cow::from),
        name: notify.name.as_deref().map(Cow::from),
        language: notify.language.as_deref().map(Cow::from),
    }
}

fn account_state<'a>(account: &'a Account, lots_left: &mut usize) -> AccountState<'a> {
    let lots: Vec<LotState> = account
        .lots_in_spending_order()
        .into_iter()
        .take(MAX_LOTS.min(*lots_left))
        .map(|lot| LotState {
            lot_id: Id(lot.lot_id.0),
            amount: lot.amount,
            remaining: lot.remaining,
            issued_at: micros(lot.issued_at),
            expires_at: lot.expires_at.map(micros),
        })
        .collect();
    *lots_left -= lots.len();
    AccountState {
        unit: account.unit_id.as_str().into(),
        available: account.available,
        pending: account.pending,
        held: account.held,
        debt: account.debt,
        balance: account.balance(),
        lifetime_earned: account.lifetime_earned,
        lifetime_redeemed: account.lifetime_redeemed,
        lots,
        lots_total: count(account.lots.len()),
    }
}
