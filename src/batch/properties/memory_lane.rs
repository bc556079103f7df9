//! A lane over maps: plan, snapshot, run and rows as in the real one, and as strict as the database about what exists already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::batch::{BatchPlan, ChangeSet, ChangedCustomer, Configs, DueQuery, RowChanges, Snapshot, plan, run};
use crate::domain::command::{Content, Delivery};
use crate::domain::config::MerchantConfig;
use crate::domain::customer::Identifier;
use crate::domain::rule::Keys;
use crate::domain::tests::ledger::{Applied, Keeper, Reply};
use crate::domain::{
    Account, CommandTopic, CustomerChange, CustomerId, CustomerState, Entry, EntryKind, Event, Frontier, Instant,
    KeyHash, LotShare, Memory, MemoryKey, MerchantId, Outcome, Parked, Remembered, TransactionId, UnitId, rules,
};

/// All rows. What is equal here is equal in the database.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rows {
    pub configs: BTreeMap<MerchantId, MerchantConfig>,
    pub customers: BTreeMap<CustomerId, CustomerState>,
    pub entries: BTreeMap<(CustomerId, UnitId), Vec<Arc<Entry>>>,
    pub decisions: BTreeMap<KeyHash, Remembered>,
    pub memory: BTreeMap<MemoryKey, Memory>,
    /// By place.
    pub parked: BTreeMap<i64, Parked>,
}

/// How one batch is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub commands: usize,
    /// How many of the customers that something is due for it settles; 0 asks for none.
    pub due: usize,
    /// The worker starts again before it: nothing is in memory.
    pub restart: bool,
}

impl Cut {
    pub const NONE: Cut = Cut { commands: usize::MAX, due: usize::MAX, restart: false };
}

#[derive(Debug)]
pub(super) struct MemoryLane {
    pub rows: Rows,
    pub events: Vec<Event>,
    pub outcomes: Vec<Reply>,
    /// The last state of each customer that went out.
    pub states: BTreeMap<CustomerId, CustomerState>,
    pub lane_time: Instant,
    frontier: Frontier,
    /// As a ledger's keeper: whether it starts again before each batch.
    pub restarts: bool,
    configs: Configs,
}

impl MemoryLane {
    pub fn new(restarts: bool) -> MemoryLane {
        MemoryLane {
            rows: Rows::default(),
            events: Vec::new(),
            outcomes: Vec::new(),
            states: BTreeMap::new(),
            lane_time: Instant::EPOCH,
            frontier: Frontier([0; CommandTopic::COUNT]),
            restarts,
            configs: Configs::new(),
        }
    }

    /// Decides the deliveries, cut as the cuts say in turn, and settles what is then left over.
    pub fn run(&mut self, mut deliveries: Vec<Delivery>, cuts: &[Cut]) {
        let mut cuts = cuts.iter().copied().cycle();
        while !deliveries.is_empty() {
            let cut = cuts.next().unwrap_or(Cut::NONE);
            let rest = deliveries.split_off(cut.commands.clamp(1, deliveries.len()));
            self.batch(std::mem::replace(&mut deliveries, rest), cut);
        }
        self.batch(Vec::new(), Cut::NONE);
        assert_eq!(self.rows.due(self.lane_time).count(), 0, "who was visited for nothing is not visited again");
        assert_eq!(self.rows.parked_due(self.lane_time).count(), 0, "a deadline that has come is settled");
    }

    fn batch(&mut self, deliveries: Vec<Delivery>, cut: Cut) {
        if cut.restart {
            self.configs.clear();
        }
        let until = deliveries.iter().map(|delivery| delivery.timestamp).fold(self.lane_time, Instant::max);
        let merchants = self.rows.configs.keys().cloned().collect();
        let due_before = self.rows.due(until).count();
        let parked_before = self.rows.parked_due(until).count();
        let frontier = self.frontier;
        for delivery in &deliveries {
            self.frontier.pass(delivery.position);
        }
        let due = (cut.due > 0).then_some(DueQuery { until, limit: cut.due, merchants });
        let plan = BatchPlan { parked: !self.rows.parked.is_empty(), ..plan(&deliveries, &self.configs, due) };
        let snapshot = self.rows.snapshot(&plan);
        let changes = run(deliveries, snapshot, &mut self.configs, self.lane_time, frontier, cut.due);
        if cut.due > 0 {
            assert_eq!(changes.due_settled, due_before.min(cut.due));
            let is_left = due_before >= cut.due || parked_before >= cut.due;
            assert_eq!(changes.due_pending, is_left, "what is left over is known");
        }
        self.take(changes);
    }

    fn take(&mut self, changes: ChangeSet) {
        assert!(changes.lane_time >= self.lane_time, "lane time went back");
        self.lane_time = changes.lane_time;
        for ChangedCustomer { state, change, membership } in &changes.rows.customers {
            let customer = &state.customer;
            assert_eq!(membership.is_some(), customer.is_member(), "what is told of a member: {customer:?}");
            let told = membership.as_ref().map_or(0, |membership| membership.cards.len());
            assert_eq!(told, customer.cards.len(), "every card is told of: {customer:?}");
            assert!(state.accounts.is_sorted_by_key(|account| &account.unit_id), "accounts have one order");
            if *change > CustomerChange::NextDue {
                self.states.insert(state.customer.customer_id, CustomerState::clone(state));
            }
        }
        self.rows.remember(&changes.outcomes);
        self.rows.apply(changes.rows);
        self.events.extend(changes.events);
        self.outcomes.extend(changes.outcomes.into_iter().map(Reply::from));
        // What stays in memory is what the next start would load.
        for (merchant, config) in &self.configs {
            assert_eq!(self.rows.configs.get(merchant), Some(config), "memory of {merchant}");
        }
    }
}

impl Rows {
    /// What the plan names and nothing else.
    fn snapshot(&self, plan: &BatchPlan) -> Snapshot {
        let mut snapshot = Snapshot::default();
        if let Some(query) = &plan.due {
            let due = self.due(query.until).filter(|state| query.merchants.contains(&state.customer.merchant_id));
            let mut due: Vec<_> = due.map(|state| (state.next_due(), state.customer.customer_id)).collect();
            due.sort();
            snapshot.due = due.into_iter().take(query.limit).map(|(_, id)| id).collect();
        }
        for (id, state) in &self.customers {
            let mut named = state.customer.identifiers().filter(|held| plan.identifiers.contains(held)).peekable();
            if named.peek().is_some() || plan.customers.contains(id) || snapshot.due.contains(id) {
                snapshot.identities.extend(named.map(|identifier| (identifier, *id)));
                snapshot.customers.insert(*id, Box::new(state.clone()));
            }
        }
        let due = snapshot.due.iter().map(|id| &self.customers[id].customer.merchant_id);
        for merchant in plan.merchants.iter().chain(due) {
            // Empty for one that does not exist.
            snapshot.configs.insert(merchant.clone(), self.configs.get(merchant).cloned().unwrap_or_default());
        }
        let mut keys = plan.keys.clone();
        let mut needed = Keys { memory: plan.memory.clone(), ..Keys::default() };
        if plan.parked {
            let due = plan.due.as_ref().map(|query| self.parked_due(query.until).take(query.limit));
            let due: Vec<i64> = due.into_iter().flatten().map(|parked| parked.place).collect();
            snapshot.parked_due = due.len();
            for parked in self.parked.values() {
                let is_named = plan.identifiers.contains(&parked.awaits) || plan.keys.contains(&parked.key_hash());
                let is_due = due.contains(&parked.place);
                if is_named || is_due {
                    keys.push(parked.key_hash());
                    rules::plan(&parked.command, &mut needed);
                    snapshot.parked.push(parked.clone());
                }
            }
        }
        for key in &keys {
            snapshot.remembered.extend(self.decisions.get(key).map(|decision| (*key, decision.clone())));
        }
        for key in &needed.memory {
            snapshot.memory.extend(self.memory.get(key).map(|memory| (*key, memory.clone())));
        }
        snapshot
    }

    fn remember(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let Some(key) = outcome.remembered_by else { continue };
            let Outcome { position, command, decision, .. } = outcome;
            let (content_hash, decision) = (command.content_hash, decision.clone());
            let remembered = Remembered { position: *position, content_hash, decision };
            assert!(self.decisions.insert(key, remembered).is_none(), "a key is decided twice");
        }
    }

    fn apply(&mut self, changes: RowChanges) {
        let ids = changes.customers.iter().map(|row| row.state.customer.customer_id);
        assert!(is_distinct(ids), "a customer is written twice");
        for ChangedCustomer { state, change, .. } in changes.customers {
            let id = state.customer.customer_id;
            match (self.customers.insert(id, *state), change) {
                (None, CustomerChange::Created) => {}
                (Some(before), CustomerChange::Profile) => assert!(self.version(id) > before.customer.version),
                // The database updates the accounts alone.
                (Some(mut before), change) => {
                    let after = &self.customers[&id].customer;
                    assert_eq!(change == CustomerChange::NextDue, before.customer.version == after.version);
                    (before.customer.version, before.customer.updated_at) = (after.version, after.updated_at);
                    assert_eq!(before.customer, *after, "{change:?} changed more");
                }
                (None, change) => panic!("a customer that does not exist has changed: {change:?}"),
            }
        }
        for entry in changes.entries {
            self.entries.entry((entry.customer_id, entry.unit_id.clone())).or_default().push(entry);
        }
        for (key, memory) in changes.memory {
            assert!(self.memory.insert(key, memory).is_none(), "an order earns twice");
        }
        for seed in changes.unparked {
            let place = self.parked.values().find(|parked| parked.seed == seed).map(|parked| parked.place);
            self.parked.remove(&place.expect("what waits no longer has waited"));
        }
        for parked in changes.parked {
            assert!(self.parked.insert(parked.place, parked).is_none(), "two records have one place");
        }
        for (merchant, object) in changes.versions {
            assert!(self.configs.entry(merchant).or_default().push(object), "a version is missing");
        }
    }

    fn version(&self, id: CustomerId) -> i64 {
        self.customers[&id].customer.version
    }

    fn due(&self, until: Instant) -> impl Iterator<Item = &CustomerState> {
        self.customers.values().filter(move |state| state.next_due().is_some_and(|due| due <= until))
    }

    /// In the order of the deadlines.
    fn parked_due(&self, until: Instant) -> impl Iterator<Item = &Parked> {
        let mut due: Vec<&Parked> = self.parked.values().filter(|parked| parked.deadline <= until).collect();
        due.sort_by_key(|parked| (parked.deadline, parked.place));
        due.into_iter()
    }

    /// The same without what may differ between splits: how early an account is looked at again.
    pub fn without_next_due(&self) -> Rows {
        let mut rows = self.clone();
        let accounts = rows.customers.values_mut().flat_map(|state| &mut state.accounts);
        accounts.for_each(|account| account.next_due = None);
        rows
    }

    fn accounts(&self) -> impl Iterator<Item = ((CustomerId, UnitId), &Account)> {
        self.customers
            .iter()
            .flat_map(|(id, state)| state.accounts.iter().map(|account| ((*id, account.unit_id.clone()), account)))
    }

    /// What must hold of any rows.
    pub fn check(&self) {
        for (key, account) in self.accounts() {
            let lots: i128 = account.lots.iter().map(|lot| i128::from(lot.remaining)).sum();
            assert_eq!(i128::from(account.available), lots, "a balance is the sum of its lots");
            assert!(account.lots.iter().all(|lot| lot.remaining > 0 && lot.remaining <= lot.amount), "{account:?}");
            let due = account.lots.iter().filter_map(|lot| lot.expires_at).min();
            assert!(due.is_none_or(|due| account.next_due.is_some_and(|next| next <= due)), "late: {account:?}");
            let (mut balance, mut earned, mut redeemed) = (0_i64, 0_i64, 0_i64);
            let entries = self.entries.get(&key).map_or(&[][..], Vec::as_slice);
            for (seq, entry) in (1..).zip(entries) {
                assert_eq!(entry.seq, seq, "entries have no gap");
                assert_eq!(entry.balance_before(), balance, "an entry follows the one before");
                assert!(entry.amount > 0, "{entry:?}");
                let shares: i64 = entry.lots.iter().map(|share| share.amount).sum();
                assert_eq!(shares, entry.amount, "an entry is the sum of its shares");
                balance = entry.balance_after;
                match entry.kind {
                    EntryKind::EarnAmount | EntryKind::Stamp => earned += entry.amount,
                    EntryKind::RedeemAmount => redeemed += entry.amount,
                    EntryKind::Expire => {}
                }
            }
            assert_eq!((account.entries, account.balance()), (entries.len() as i64, balance), "{account:?}");
            assert_eq!((account.lifetime_earned, account.lifetime_redeemed), (earned, redeemed), "{account:?}");
            let chain = entries.windows(2).all(|pair| pair[1].previous == Some(pair[0].transaction_id));
            assert!(chain && entries[0].previous.is_none(), "entries are a chain");
            assert_eq!(account.last_entry, entries.last().map(|entry| entry.transaction_id), "{account:?}");
        }
        assert!(
            self.entries.keys().all(|key| self.accounts().any(|(account, _)| account == *key)),
            "an entry without an account"
        );
        let identifiers = self.customers.values().flat_map(|state| state.customer.identifiers());
        assert!(is_distinct(identifiers), "an identifier is two customers'");
        let held: BTreeSet<Identifier> =
            self.customers.values().flat_map(|state| state.customer.identifiers()).collect();
        for parked in self.parked.values() {
            assert!(!held.contains(&parked.awaits), "a command waits for somebody who is there: {parked:?}");
            assert!(
                !self.decisions.contains_key(&parked.key_hash()),
                "a command waits though it is decided: {parked:?}"
            );
        }
    }
}

fn is_distinct<T: Ord>(mut keys: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    keys.all(|key| seen.insert(key))
}

impl Keeper for MemoryLane {
    /// Only ticks settle what no command touches, so that a ledger can say when they come; what the batch itself made is due in the next.
    fn apply(&mut self, deliveries: Vec<Delivery>) -> Applied {
        let has_tick = deliveries.iter().any(|delivery| matches!(delivery.content, Content::Tick));
        let (outcomes, events) = (self.outcomes.len(), self.events.len());
        self.batch(deliveries, Cut { due: 0, restart: self.restarts, ..Cut::NONE });
        if has_tick {
            self.batch(Vec::new(), Cut::NONE);
        }
        self.rows.check();
        Applied { replies: self.outcomes.split_off(outcomes), events: self.events.split_off(events) }
    }

    fn customer(&self, id: CustomerId) -> Option<CustomerState> {
        self.rows.customers.get(&id).cloned()
    }

    fn holder(&self, identifier: &Identifier) -> Option<CustomerId> {
        let mut customers = self.rows.customers.values();
        let holder = customers.find(|state| state.customer.identifiers().any(|held| held == *identifier));
        holder.map(|state| state.customer.customer_id)
    }

    /// With the entry that would have made it.
    fn preset(&mut self, id: CustomerId, account: Account) {
        let key = (id, account.unit_id.clone());
        let entry = Entry {
            transaction_id: TransactionId(uuid::Uuid::nil()),
            previous: None,
            customer_id: id,
            unit_id: account.unit_id.clone(),
            seq: 1,
            kind: EntryKind::EarnAmount,
            amount: account.available,
            balance_after: account.available,
            lots: account.lots.iter().map(|lot| LotShare { lot_id: lot.lot_id, amount: lot.amount }).collect(),
            unit_version: None,
            order_id: None,
            reason: None,
            title: None,
            cause: None,
            occurred_at: Instant::EPOCH,
            recorded_at: Instant::EPOCH,
        };
        let state = self.rows.customers.get_mut(&id).expect("a customer");
        assert!(state.account(&account.unit_id).is_none(), "an account is preset before it is used");
        *state.account_mut(&account.unit_id) = account.clone();
        self.states.insert(id, state.clone());
        self.rows.entries.insert(key, vec![Arc::new(entry)]);
    }
}
