//! What the model knows of Postgres, Kafka and the two owners, and the steps between.

/// Batches are numbered from 1.
pub const BATCHES: usize = 3;
pub const OWNERS: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub postgres: Postgres,
    /// What a backup has, if one was made.
    pub backup: Option<Postgres>,
    pub kafka: Kafka,
    pub owners: [Owner; OWNERS],
    pub crashes: u8,
    pub doubts: u8,
    pub was_set_back: bool,
    /// The last epoch that any owner had: a database that is set back gives none a second time.
    pub last_epoch: u8,
    /// A transaction was committed by an owner that had been succeeded.
    pub zombie_committed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Postgres {
    pub epoch: u8,
    pub applied: usize,
    /// How often each batch took effect.
    pub effects: [u8; BATCHES],
    pub outbox: [bool; BATCHES],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kafka {
    /// The epoch of the lane's transactional id.
    pub producer: u8,
    /// The batch that the committed offsets name.
    pub published: usize,
    /// How often each batch's results are visible.
    pub results: [u8; BATCHES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    pub phase: Phase,
    pub epoch: u8,
    pub producer: u8,
    pub applied: usize,
    pub published: usize,
    pub apply: Apply,
    pub publish: Publish,
    /// A commit of results that is on its way, and may arrive.
    pub delayed: Option<(u8, usize, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Down,
    Recovering { initialised: bool, read: bool },
    Working,
    Halted,
}

/// Where applying a batch stands; each variant but the first is a place where the real worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Apply {
    Idle,
    AfterPoll,
    AfterBegin,
    AfterLaneLock,
    BeforeCommit,
    AfterCommit,
}

/// Where publishing a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Publish {
    Idle,
    AfterBeginTransaction,
    HalfProduced,
    AfterSendOffsets { with_offsets: bool },
    AfterCommitTransaction,
    BeforeOutboxDelete,
}

impl Apply {
    pub const STEPS: [(Apply, &str); 5] = [
        (Apply::AfterPoll, "after-poll"),
        (Apply::AfterBegin, "after-begin"),
        (Apply::AfterLaneLock, "after-lane-lock"),
        (Apply::BeforeCommit, "before-commit"),
        (Apply::AfterCommit, "after-commit"),
    ];
}

impl Publish {
    pub const STEPS: [(Publish, &str); 5] = [
        (Publish::AfterBeginTransaction, "after-begin-transaction"),
        (Publish::HalfProduced, "half-produced"),
        (Publish::AfterSendOffsets { with_offsets: true }, "after-send-offsets"),
        (Publish::AfterCommitTransaction, "after-commit-transaction"),
        (Publish::BeforeOutboxDelete, "before-outbox-delete"),
    ];
}

pub const DOWN: Owner = Owner {
    phase: Phase::Down,
    epoch: 0,
    producer: 0,
    applied: 0,
    published: 0,
    apply: Apply::Idle,
    publish: Publish::Idle,
    delayed: None,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Start(usize),
    InitTransactions(usize),
    ReadPublished(usize),
    TakeOver(usize),
    Apply(usize, Ended),
    Publish(usize, Ended),
    /// A commit that was delayed reaches its coordinator.
    Arrives(usize),
    Crash(usize),
    Backup,
    SetBack,
}

/// How a step ended, as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    Well,
    /// It was done, and the answer was lost.
    DoneUnknown,
    /// It was not done (a commit of results: not yet), and the answer was lost.
    NotDoneUnknown,
}

impl State {
    /// The owner whose transaction has the lane row's lock.
    pub fn locked_by(&self) -> Option<usize> {
        self.owners.iter().position(|owner| matches!(owner.apply, Apply::AfterLaneLock | Apply::BeforeCommit))
    }

    /// The owner forgets everything but what is on its way.
    pub fn restart(&mut self, owner: usize) {
        self.owners[owner] = Owner {
            phase: Phase::Recovering { initialised: false, read: false },
            delayed: self.owners[owner].delayed,
            ..DOWN
        };
    }

    /// Results become visible, with the offsets or without.
    pub fn commit_results(&mut self, batch: usize, with_offsets: bool) {
        self.kafka.results[batch - 1] += 1;
        if with_offsets {
            self.kafka.published = batch;
        }
    }
}
