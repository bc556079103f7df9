//! A small world in which all holds: one lane, one merchant, two customers, two batches.
//!
//! | command | outcome |
//! |---|---|
//! | merchant-config/0 | settings version 1 |
//! | customer-upsert/0, /1 | Ann and Ben are created; /2 is a hole |
//! | credit/0 | Ann +100 for an order, version 2 |
//! | credit/1 | the same command again: a duplicate |
//! | credit/2 | a dead letter |
//! | credit/3 | idempotency_conflict, which is not remembered |
//! | credit/4 | Ben +50, version 2; /5 is a hole |
//! | redeem/0 | Ann -30, version 3 |
//! | redeem/1 | Ann, insufficient_points |
//! | - | Ben's 50 expire, version 3 |

use uuid::Uuid;

use crate::audit::facts::*;
use crate::domain::{CommandTopic, Frontier, Position};

pub const ANN: Uuid = Uuid::from_u128(0xA);
pub const BEN: Uuid = Uuid::from_u128(0xB);
pub const EXPIRY: i64 = 5_000;

pub fn at(topic: CommandTopic, offset: i64) -> Position {
    Position { topic, partition: 0, offset }
}

pub fn credit(offset: i64) -> Position {
    at(CommandTopic::Credit, offset)
}

pub fn redeem(offset: i64) -> Position {
    at(CommandTopic::Redeem, offset)
}

fn upsert(offset: i64) -> Position {
    at(CommandTopic::CustomerUpsert, offset)
}

/// The facts of the world above.
pub fn sound() -> Facts {
    let mut world = World::default();
    world.facts.lanes.push(LaneFacts::default());
    world.commands();
    let config = at(CommandTopic::MerchantConfig, 0);
    world.decide(config, 2, None, None, Some(1), None);
    world.configure(config);
    for (customer, offset) in [(ANN, 0), (BEN, 1)] {
        world.decide(upsert(offset), 1, Some(customer), Some(1), Some(1), None);
        world.event(customer, 1, Some(upsert(offset)), "customer.created", None);
        world.customer(customer, 3);
    }
    let order = Some(Uuid::from_u128(1_000));
    let earned = world.entry(ANN, 1, 1, 100, 100, &[(1, 100)], Some(credit(0)), order);
    world.decide(credit(0), 4, Some(ANN), Some(2), Some(1), Some(earned.clone()));
    world.event(ANN, 2, Some(credit(0)), "points.earned", Some(earned));
    world.duplicate(credit(1), credit(0));
    world.facts.lanes[0].dead_letters.records.push(DeadLetterFact { offset: 0, record: credit(2) });
    world.refuse_unremembered(credit(3));
    let earned = world.entry(BEN, 1, 1, 50, 50, &[(2, 50)], Some(credit(4)), None);
    world.decide(credit(4), 4, Some(BEN), Some(2), Some(1), Some(earned.clone()));
    world.event(BEN, 2, Some(credit(4)), "points.earned", Some(earned));
    let spent = world.entry(ANN, 2, 2, 30, 70, &[(1, 30)], Some(redeem(0)), None);
    world.decide(redeem(0), 4, Some(ANN), Some(3), Some(1), Some(spent.clone()));
    world.event(ANN, 3, Some(redeem(0)), "points.redeemed", Some(spent));
    world.reject(redeem(1), ANN, 3);
    let expired = world.entry(BEN, 2, 3, 50, 0, &[(2, 50)], None, None);
    world.event(BEN, 3, None, "points.expired", Some(expired));
    world.account(ANN, 2, 70, 100, 30, &[(1, 100, 70)]);
    world.account(BEN, 2, 0, 50, 0, &[]);
    world.lane();
    world.facts
}

#[derive(Default)]
struct World {
    facts: Facts,
    next_id: u128,
}

impl World {
    fn id(&mut self) -> Uuid {
        self.next_id += 1;
        Uuid::from_u128(0x1000 + self.next_id)
    }

    fn name(&mut self, text: &str) -> Name {
        self.facts.names.keep(text)
    }

    fn commands(&mut self) {
        let offsets: [&[i64]; CommandTopic::COUNT] =
            [&[0], &[0, 1], &[], &[0, 1, 2, 3, 4], &[0, 1], &[], &[], &[0, 1, 2]];
        let ends = [1, 3, 0, 6, 2, 0, 0, 3];
        for (facts, (offsets, end)) in self.facts.lanes[0].commands.iter_mut().zip(offsets.iter().zip(ends)) {
            *facts = CommandFacts { low: 0, end, offsets: offsets.to_vec() };
        }
    }

    fn lane(&mut self) {
        let batch =
            |offset, batch, ranges| JournalFact { offset, lane: 0, batch, lane_time_before: batch * 10, ranges };
        let lane = &mut self.facts.lanes[0];
        lane.row = Some(LaneRow { batch: 2, lane_time: 100, frontier: Frontier([1, 3, 0, 6, 2, 0, 0, 3]) });
        lane.applied_at_end = 2;
        let first = [Some((0, 1)), Some((0, 3)), None, Some((0, 3)), Some((0, 0)), None, None, Some((0, 1))];
        let second = [Some((1, 1)), None, None, Some((3, 6)), Some((0, 2)), None, None, Some((1, 3))];
        lane.journal.records = vec![batch(0, 1, first), batch(1, 2, second)];
        for (committed, offset) in lane.committed.iter_mut().zip([1, 3, 0, 6, 2, 0, 0, 3]) {
            *committed = Some(Committed { offset, batch: Some(2) });
        }
    }

    fn result(&mut self, command: Position) -> ResultFact {
        ResultFact {
            offset: self.facts.lanes[0].results.records.len() as i64,
            result_id: self.id(),
            key: self.id(),
            command,
            customer: None,
            accepted: true,
            duplicate: false,
            original: None,
            effect: 4,
            rejection: None,
            occurred_at: 10,
            decided_at: 20,
            config_version: Some(1),
            customer_version: None,
            entries: Box::default(),
            balances: Box::default(),
            was_parked: false,
        }
    }

    fn publish(&mut self, result: ResultFact) {
        self.facts.lanes[0].results.records.push(result);
    }

    /// A decision, and its result.
    fn decide(
        &mut self,
        position: Position,
        effect: i16,
        customer: Option<Uuid>,
        customer_version: Option<i64>,
        config_version: Option<i64>,
        entry: Option<EntryFact>,
    ) {
        let mut result = self.result(position);
        result.effect = effect;
        (result.customer, result.customer_version, result.config_version) =
            (customer, customer_version, config_version);
        result.balances = entry.iter().map(|entry| (entry.unit, entry.balance_after)).collect();
        result.entries = entry.into_iter().collect();
        self.remember(&result);
        self.publish(result);
    }

    fn remember(&mut self, result: &ResultFact) {
        self.facts.ledger.decisions.push(DecisionRow {
            position: result.command,
            effect: result.effect,
            rejection: result.rejection,
            customer: result.customer,
            customer_version: result.customer_version,
            config_version: result.config_version,
            entries: result.entries.iter().map(|entry| entry.transaction).collect(),
            occurred_at: result.occurred_at,
            decided_at: result.decided_at,
        });
    }

    fn reject(&mut self, position: Position, customer: Uuid, version: i64) {
        let mut result = self.result(position);
        (result.accepted, result.effect) = (false, 0);
        let code = self.name("insufficient_points");
        result.rejection = Some(RejectionFact { code, message: Name::of("There are 70 points, and 500 are needed.") });
        (result.customer, result.customer_version) = (Some(customer), Some(version));
        self.remember(&result);
        self.publish(result);
    }

    fn refuse_unremembered(&mut self, position: Position) {
        let mut result = self.result(position);
        (result.accepted, result.effect, result.config_version) = (false, 0, None);
        let code = self.name("idempotency_conflict");
        result.rejection = Some(RejectionFact { code, message: Name::of("Another command has this key.") });
        self.publish(result);
    }

    fn duplicate(&mut self, position: Position, original: Position) {
        let first = self.facts.lanes[0].results.records.iter().find(|result| result.command == original).cloned();
        let mut result = first.expect("the original is published");
        result.offset = self.facts.lanes[0].results.records.len() as i64;
        result.result_id = self.id();
        (result.command, result.duplicate, result.original) = (position, true, Some(original));
        result.balances = Box::default();
        self.publish(result);
    }

    fn event(&mut self, customer: Uuid, version: i64, cause: Option<Position>, kind: &str, entry: Option<EntryFact>) {
        let event = EventFact {
            offset: self.facts.lanes[0].events.records.len() as i64,
            event_id: self.id(),
            kind: self.name(kind),
            customer: Some(customer),
            version,
            index: 0,
            count: 1,
            cause,
            entry: entry.map(Box::new),
            config: None,
        };
        self.facts.lanes[0].events.records.push(event);
    }

    fn configure(&mut self, cause: Position) {
        let version =
            ConfigVersion { merchant: self.name("shop"), object: self.name("settings"), id: None, version: 1 };
        self.facts.ledger.configs.push(version);
        let event = EventFact {
            offset: 0,
            event_id: self.id(),
            kind: self.name("config.changed"),
            customer: None,
            version: 1,
            index: 0,
            count: 1,
            cause: Some(cause),
            entry: None,
            config: Some(Box::new(version)),
        };
        self.facts.lanes[0].events.records.push(event);
    }

    /// An entry's row, and what is told of it. Lot 1 is Ann's first earning, lot 2 Ben's.
    #[expect(clippy::too_many_arguments, reason = "a row has as many columns")]
    fn entry(
        &mut self,
        customer: Uuid,
        seq: i64,
        kind: i16,
        amount: i64,
        balance_after: i64,
        lots: &[(u128, i64)],
        cause: Option<Position>,
        order: Option<Uuid>,
    ) -> EntryFact {
        let lots: Box<[Share]> =
            lots.iter().map(|&(lot, amount)| Share { lot: Uuid::from_u128(lot), amount }).collect();
        let transaction = if kind == 1 { lots[0].lot } else { self.id() };
        let (unit, merchant) = (self.name("points"), self.name("shop"));
        let credit = kind == 1;
        let balance_before = if credit { balance_after - amount } else { balance_after + amount };
        let (occurred_at, recorded_at) = (10, 20);
        let previous = self.facts.ledger.entries.iter().rfind(|row| row.customer == customer);
        let previous = previous.map(|row| row.transaction);
        self.facts.ledger.entries.push(EntryRow {
            customer,
            unit,
            seq,
            transaction,
            previous,
            merchant,
            kind,
            amount,
            balance_after,
            lots: lots.clone(),
            order,
            cause,
            occurred_at,
            recorded_at,
        });
        if let Some(order) = order {
            self.facts.ledger.orders.push(OrderRow { order, transaction });
        }
        let lots_total = lots.len() as i32;
        EntryFact {
            transaction,
            unit,
            seq,
            kind,
            credit,
            amount,
            balance_before,
            balance_after,
            lots,
            lots_total,
            occurred_at,
            recorded_at,
        }
    }

    fn customer(&mut self, customer: Uuid, version: i64) {
        let external_id = Some(Name::of(&customer.to_string()));
        let (merchant, status) = (self.name("shop"), self.name("active"));
        let profile = CustomerFact {
            customer,
            merchant,
            version,
            status,
            external_id,
            phone: None,
            email: None,
            first_name: Some(Name::of("a name")),
            last_name: None,
            birth_date: None,
            further: None,
            notify_email: false,
            notify_phone: true,
            created_at: 10,
            updated_at: 20,
        };
        self.facts.ledger.customers.push(profile.clone());
        let key = Some(Uuid::from_u128(!customer.as_u128()));
        self.facts.ledger.identifiers.push(IdentifierRow { customer, key, due: key });
        let offset = self.facts.lanes[0].states.len() as i64;
        self.facts.lanes[0].states.push(StateFact {
            offset,
            profile,
            accounts: Box::default(),
            stamps: Box::default(),
        });
    }

    /// An account's row, and its part of the customer's state.
    fn account(
        &mut self,
        customer: Uuid,
        entries: i64,
        available: i64,
        earned: i64,
        redeemed: i64,
        lots: &[(u128, i64, i64)],
    ) {
        let (unit, merchant) = (self.name("points"), self.name("shop"));
        let lots: Box<[LotFact]> = lots
            .iter()
            .map(|&(lot, amount, remaining)| LotFact {
                lot: Uuid::from_u128(lot),
                amount,
                remaining,
                issued_at: 10,
                expires_at: Some(EXPIRY),
            })
            .collect();
        let sums =
            Sums { available, pending: 0, held: 0, debt: 0, lifetime_earned: earned, lifetime_redeemed: redeemed };
        let lots_total = lots.len() as i32;
        let state = AccountFact { unit, sums, balance: available, lots: lots.clone(), lots_total };
        let states = &mut self.facts.lanes[0].states;
        let of_customer = states.iter_mut().find(|state| state.profile.customer == customer);
        of_customer.expect("the customer has a state").accounts = Box::new([state]);
        let next_due = Some(EXPIRY - 100);
        let last_entry = self.facts.ledger.entries.iter().rfind(|row| row.customer == customer);
        let last_entry = last_entry.map(|row| row.transaction);
        self.facts.ledger.accounts.push(AccountRow {
            customer,
            unit,
            merchant,
            entries,
            last_entry,
            sums,
            next_due,
            lots,
        });
    }
}
