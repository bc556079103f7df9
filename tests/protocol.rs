//! The lane's protocol as a small model, explored completely: two owners that both may take themselves for the right one, three batches, the two
//! fences, the outbox, the publication, a crash before and after every step, a COMMIT and an EndTxn whose outcome is
//! unknown, and a database that is set back.
//!
//! The invariants are named after docs/guarantees.md, the steps after the places where the tests of the real worker kill it. Each guard can be
//! taken out, and then some invariant breaks: so each is needed, and the model sees it.

#[path = "protocol/state.rs"]
mod state;

use state::{Action, Apply, BATCHES, DOWN, Ended, Kafka, OWNERS, Owner, Phase, Postgres, Publish, State};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// What protects the lane. All of it, in the worker.
#[derive(Debug, Clone, Copy)]
struct Guards {
    /// A transaction of Postgres begins by comparing the lane row's epoch with the owner's.
    epoch: bool,
    /// The same of the batch's number.
    batch_number: bool,
    /// `init_transactions` comes before any progress is read.
    init_before_reading: bool,
    /// `init_transactions` of a successor ends all transactions of its predecessors.
    producer_fence: bool,
    /// What a batch has to say is kept in its own transaction until it is published.
    outbox: bool,
    /// The offsets, with the batch's number, are in the transaction of its results.
    send_offsets: bool,
    /// After an error of `send_offsets` nothing is committed.
    no_commit_after_failure: bool,
}

const ALL_GUARDS: Guards = Guards {
    epoch: true,
    batch_number: true,
    init_before_reading: true,
    producer_fence: true,
    outbox: true,
    send_offsets: true,
    no_commit_after_failure: true,
};

struct Lane {
    guards: Guards,
    /// What may go wrong, and how often: the states grow with each by an order of magnitude.
    crashes: u8,
    doubts: u8,
    is_set_back: bool,
    /// How often an owner may begin anew.
    successions: u8,
}

/// Together they have every fault with every other that it could meet: two crashes, a crash and a doubtful answer, a database that is set back.
fn troubles(guards: Guards) -> [Lane; 3] {
    [
        Lane { guards, crashes: 0, doubts: 0, is_set_back: true, successions: 2 },
        Lane { guards, crashes: 1, doubts: 1, is_set_back: false, successions: 3 },
        Lane { guards, crashes: 2, doubts: 0, is_set_back: false, successions: 4 },
    ]
}

impl Lane {
    fn is_fenced(&self, state: &State, owner: usize) -> bool {
        self.guards.producer_fence && state.owners[owner].producer != state.kafka.producer
    }

    fn apply(&self, state: &mut State, number: usize, ended: Ended) -> Option<()> {
        let owner = state.owners[number];
        let next = match owner.apply {
            Apply::Idle => Apply::AfterPoll,
            Apply::AfterPoll => Apply::AfterBegin,
            // The lock is waited for.
            Apply::AfterBegin if state.locked_by().is_some() => return None,
            Apply::AfterBegin => {
                let postgres = &state.postgres;
                let is_lost = self.guards.epoch && postgres.epoch != owner.epoch
                    || self.guards.batch_number && postgres.applied != owner.applied;
                if is_lost {
                    state.restart(number);
                    return Some(());
                }
                Apply::AfterLaneLock
            }
            Apply::AfterLaneLock => Apply::BeforeCommit,
            Apply::BeforeCommit => {
                if ended != Ended::NotDoneUnknown {
                    let batch = owner.applied + 1;
                    state.zombie_committed |= state.postgres.epoch != owner.epoch;
                    state.postgres.applied = batch;
                    state.postgres.effects[batch - 1] += 1;
                    state.postgres.outbox[batch - 1] = self.guards.outbox;
                }
                if ended != Ended::Well {
                    state.doubts -= 1;
                    state.restart(number);
                    return Some(());
                }
                state.owners[number].applied += 1;
                Apply::AfterCommit
            }
            Apply::AfterCommit => Apply::Idle,
        };
        state.owners[number].apply = next;
        Some(())
    }

    fn publish(&self, state: &mut State, number: usize, ended: Ended) -> Option<()> {
        let owner = state.owners[number];
        let batch = owner.published + 1;
        let talks_to_kafka = !matches!(owner.publish, Publish::AfterCommitTransaction | Publish::BeforeOutboxDelete);
        if talks_to_kafka && self.is_fenced(state, number) {
            state.restart(number);
            return Some(());
        }
        let next = match owner.publish {
            Publish::Idle => Publish::AfterBeginTransaction,
            Publish::AfterBeginTransaction => Publish::HalfProduced,
            Publish::HalfProduced if !self.guards.send_offsets => Publish::AfterSendOffsets { with_offsets: false },
            Publish::HalfProduced if ended == Ended::Well => Publish::AfterSendOffsets { with_offsets: true },
            Publish::HalfProduced => {
                state.doubts -= 1;
                if self.guards.no_commit_after_failure {
                    state.restart(number);
                    return Some(());
                }
                Publish::AfterSendOffsets { with_offsets: false }
            }
            Publish::AfterSendOffsets { with_offsets } => {
                match ended {
                    Ended::NotDoneUnknown => state.owners[number].delayed = Some((owner.producer, batch, with_offsets)),
                    Ended::Well | Ended::DoneUnknown => state.commit_results(batch, with_offsets),
                }
                if ended != Ended::Well {
                    state.doubts -= 1;
                    state.restart(number);
                    return Some(());
                }
                Publish::AfterCommitTransaction
            }
            Publish::AfterCommitTransaction => Publish::BeforeOutboxDelete,
            Publish::BeforeOutboxDelete => {
                state.postgres.outbox[..batch].fill(false);
                state.owners[number].published = batch;
                Publish::Idle
            }
        };
        state.owners[number].publish = next;
        Some(())
    }

    /// The end of a recovery: the lane row is locked, its epoch raised, and what is applied compared with what is published.
    fn take_over(&self, state: &mut State, number: usize) {
        state.last_epoch += 1;
        state.postgres.epoch = state.last_epoch;
        let (epoch, applied) = (state.postgres.epoch, state.postgres.applied);
        let owner = &mut state.owners[number];
        (owner.epoch, owner.applied) = (epoch, applied);
        let has_all = |from: usize| (from..applied).all(|batch| state.postgres.outbox[batch]);
        owner.phase = match owner.published {
            published if published > applied => Phase::Halted,
            // Without an outbox there would be nothing to compare.
            published if !self.guards.outbox => {
                owner.published = applied.max(published);
                Phase::Working
            }
            published if has_all(published) => Phase::Working,
            _ => Phase::Halted,
        };
    }
}

impl Model for Lane {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            postgres: Postgres { epoch: 0, applied: 0, effects: [0; BATCHES], outbox: [false; BATCHES] },
            backup: None,
            kafka: Kafka { producer: 0, published: 0, results: [0; BATCHES] },
            owners: [DOWN; OWNERS],
            crashes: self.crashes,
            doubts: self.doubts,
            was_set_back: false,
            last_epoch: 0,
            zombie_committed: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let endings = |may_fail: bool| {
            let all = [Ended::Well, Ended::DoneUnknown, Ended::NotDoneUnknown];
            all.into_iter().take(if may_fail && state.doubts > 0 { 3 } else { 1 })
        };
        for (number, owner) in state.owners.iter().enumerate() {
            match owner.phase {
                Phase::Down => actions.push(Action::Start(number)),
                Phase::Recovering { initialised, read } => {
                    let may_init = if self.guards.init_before_reading { !initialised } else { read && !initialised };
                    let may_read = if self.guards.init_before_reading { initialised && !read } else { !read };
                    if may_init && state.kafka.producer < self.successions {
                        actions.push(Action::InitTransactions(number));
                    } else if may_read && !may_init {
                        actions.push(Action::ReadPublished(number));
                    } else if initialised && read && state.locked_by().is_none() {
                        actions.push(Action::TakeOver(number));
                    }
                }
                Phase::Working => {
                    let has_more = owner.applied < BATCHES && owner.applied - owner.published.min(owner.applied) < 2;
                    if owner.apply != Apply::Idle || has_more {
                        let may_fail = owner.apply == Apply::BeforeCommit;
                        actions.extend(endings(may_fail).map(|ended| Action::Apply(number, ended)));
                    }
                    if owner.publish != Publish::Idle || owner.published < owner.applied {
                        let may_fail =
                            matches!(owner.publish, Publish::HalfProduced | Publish::AfterSendOffsets { .. });
                        actions.extend(endings(may_fail).map(|ended| Action::Publish(number, ended)));
                    }
                }
                Phase::Halted => {}
            }
            if owner.delayed.is_some() {
                actions.push(Action::Arrives(number));
            }
            if state.crashes > 0 && owner.phase != Phase::Down {
                actions.push(Action::Crash(number));
            }
        }
        if self.is_set_back && state.backup.is_none() && state.locked_by().is_none() && state.postgres.applied == 1 {
            actions.push(Action::Backup);
        }
        // Whoever restores a database stops the workers first, as the runbook says. One may have been forgotten, and not notice, where a
        // pooler or a failover keeps its session; of two, one could go on with what it had read before.
        let running = state.owners.iter().filter(|owner| owner.phase != Phase::Down).count();
        if state.backup.is_some() && !state.was_set_back && state.locked_by().is_none() && running <= 1 {
            actions.push(Action::SetBack);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Start(number) => state.restart(number),
            Action::InitTransactions(number) => {
                state.kafka.producer += 1;
                let read = !self.guards.init_before_reading;
                let owner = &mut state.owners[number];
                owner.producer = state.kafka.producer;
                owner.phase = Phase::Recovering { initialised: true, read };
            }
            Action::ReadPublished(number) => {
                let initialised = self.guards.init_before_reading;
                let owner = &mut state.owners[number];
                owner.published = state.kafka.published;
                owner.phase = Phase::Recovering { initialised, read: true };
            }
            Action::TakeOver(number) => self.take_over(&mut state, number),
            Action::Apply(number, ended) => self.apply(&mut state, number, ended)?,
            Action::Publish(number, ended) => self.publish(&mut state, number, ended)?,
            Action::Arrives(number) => {
                let (producer, batch, with_offsets) = state.owners[number].delayed.take()?;
                if !self.guards.producer_fence || producer == state.kafka.producer {
                    state.commit_results(batch, with_offsets);
                }
            }
            Action::Crash(number) => {
                state.crashes -= 1;
                state.owners[number] = Owner { delayed: state.owners[number].delayed, ..DOWN };
            }
            Action::Backup => state.backup = Some(state.postgres.clone()),
            Action::SetBack => {
                state.was_set_back = true;
                state.postgres = state.backup.clone()?;
                // A server that is restored has no sessions.
                for owner in state.owners.iter_mut().filter(|owner| owner.apply != Apply::Idle) {
                    owner.apply = Apply::Idle;
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("1. No command is lost", |_, state: &State| {
                (0..state.postgres.applied).all(|batch| state.postgres.effects[batch] > 0)
            }),
            Property::always("2. No command is applied twice", |_, state: &State| {
                state.postgres.effects.iter().all(|times| *times < 2)
            }),
            Property::always("3. Each record has exactly one result", |_, state: &State| {
                let is_answered = |batch: usize| state.kafka.results[batch] == 1;
                let (postgres, kafka) = (&state.postgres, &state.kafka);
                (0..kafka.published).all(is_answered)
                    && (0..postgres.applied).all(|batch| postgres.outbox[batch] || state.kafka.results[batch] > 0)
            }),
            Property::always("4. No result is published twice", |_, state: &State| {
                state.kafka.results.iter().all(|times| *times < 2)
            }),
            Property::always("6. Order within a topic", |_, state: &State| {
                state.kafka.results.windows(2).all(|pair| pair[0] >= pair[1])
            }),
            Property::always("11. A worker that was thought dead does no harm", |_, state: &State| {
                !state.zombie_committed
            }),
            Property::always("12. A restored database is rolled forward", |_, state: &State| {
                let is_behind = state.postgres.applied < state.kafka.published;
                !is_behind || state.owners.iter().all(|owner| owner.apply != Apply::BeforeCommit)
            }),
            Property::sometimes(IN_THE_END, |_, state: &State| {
                state.kafka.results == [1; BATCHES] && state.postgres.outbox == [false; BATCHES]
            }),
        ]
    }
}

const IN_THE_END: &str = "every batch is applied and published";

/// The invariants that some order of steps breaks, of the first trouble by which any does.
fn broken(guards: Guards) -> Vec<&'static str> {
    let mut broken = Vec::new();
    for lane in troubles(guards) {
        if !broken.is_empty() {
            break;
        }
        let checker = lane.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let discoveries = checker.discoveries();
        let found: Vec<&str> = discoveries.keys().copied().filter(|name| *name != IN_THE_END).collect();
        println!("{guards:?}: {} states, broken: {found:?}", checker.unique_state_count());
        for (name, path) in discoveries.iter().filter(|(name, _)| found.contains(name)) {
            println!("{name}: {:?}", path.clone().into_actions());
        }
        assert!(!found.is_empty() || discoveries.contains_key(IN_THE_END), "the lane never comes to its end");
        broken.extend(found);
    }
    broken.sort_unstable();
    broken.dedup();
    broken
}

#[test]
fn everything_holds_in_every_order_of_steps() {
    assert_eq!(broken(ALL_GUARDS), [""; 0]);
}

#[test]
fn each_guard_is_needed() {
    let without: [(&str, Guards); 7] = [
        ("epoch", Guards { epoch: false, ..ALL_GUARDS }),
        ("batch_number", Guards { batch_number: false, ..ALL_GUARDS }),
        ("init_before_reading", Guards { init_before_reading: false, ..ALL_GUARDS }),
        ("producer_fence", Guards { producer_fence: false, ..ALL_GUARDS }),
        ("outbox", Guards { outbox: false, ..ALL_GUARDS }),
        ("send_offsets", Guards { send_offsets: false, ..ALL_GUARDS }),
        ("no_commit_after_failure", Guards { no_commit_after_failure: false, ..ALL_GUARDS }),
    ];
    for (guard, guards) in without {
        assert!(
            !broken(guards).is_empty(),
            "without the guard {guard} nothing breaks: it guards nothing, or the model does not see it"
        );
    }
}

/// The model's words are the code's, and its invariants those that are promised.
#[test]
fn the_model_speaks_of_the_worker() {
    let steps = Apply::STEPS.map(|(_, name)| name).into_iter().chain(Publish::STEPS.map(|(_, name)| name));
    assert_eq!(steps.collect::<Vec<_>>(), loyalty_worker::fail_point::ALL);
    let promised = std::fs::read_to_string("docs/guarantees.md").expect("the guarantees");
    for property in troubles(ALL_GUARDS)[0].properties() {
        let is_promised = promised.lines().any(|line| line == format!("## {}", property.name));
        assert!(is_promised || property.name == IN_THE_END, "{}", property.name);
    }
}
