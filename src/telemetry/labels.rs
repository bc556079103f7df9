//! The values of the metrics' labels that are telemetry's own.

/// What a lane's owner does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LaneState {
    /// Settles what the last owner left, then goes on.
    Recovering,
    /// Takes batches.
    Held,
    /// Holds the lane, and waits for Postgres, Kafka or the registry, which have not answered for seconds.
    Stalled,
    /// Stands still until an operator acts.
    Halted,
}

impl LaneState {
    pub const ALL: [LaneState; 4] = [LaneState::Recovering, LaneState::Held, LaneState::Stalled, LaneState::Halted];

    pub fn name(self) -> &'static str {
        match self {
            LaneState::Recovering => "recovering",
            LaneState::Held => "held",
            LaneState::Stalled => "stalled",
            LaneState::Halted => "halted",
        }
    }
}

/// Where a batch's time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Decode,
    Plan,
    Load,
    Fold,
    Encode,
    Write,
    Commit,
}

impl Stage {
    pub const ALL: [Stage; 7] =
        [Stage::Decode, Stage::Plan, Stage::Load, Stage::Fold, Stage::Encode, Stage::Write, Stage::Commit];

    pub fn name(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Plan => "plan",
            Stage::Load => "load",
            Stage::Fold => "fold",
            Stage::Encode => "encode",
            Stage::Write => "write",
            Stage::Commit => "commit",
        }
    }
}

/// Where a Kafka transaction's time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Produce,
    Drain,
    SendOffsets,
    Commit,
}

impl Step {
    pub const ALL: [Step; 4] = [Step::Produce, Step::Drain, Step::SendOffsets, Step::Commit];

    pub fn name(self) -> &'static str {
        match self {
            Step::Produce => "produce",
            Step::Drain => "drain",
            Step::SendOffsets => "send_offsets",
            Step::Commit => "commit",
        }
    }
}

/// Why a lane was recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecoveryCause {
    /// The group gave the lane to this worker.
    Assigned,
    /// Another producer or another epoch took the lane, or a transaction outlived its time.
    Fenced,
    /// A Kafka call or transaction failed.
    Kafka,
    /// Postgres failed, or whether it committed is not known.
    Store,
    /// What halted the lane was mended.
    Halted,
    /// The lane's task panicked: a defect.
    Panicked,
}

impl RecoveryCause {
    pub const ALL: [RecoveryCause; 6] = [
        RecoveryCause::Assigned,
        RecoveryCause::Fenced,
        RecoveryCause::Kafka,
        RecoveryCause::Store,
        RecoveryCause::Halted,
        RecoveryCause::Panicked,
    ];

    pub fn name(self) -> &'static str {
        match self {
            RecoveryCause::Assigned => "assigned",
            RecoveryCause::Fenced => "fenced",
            RecoveryCause::Kafka => "kafka",
            RecoveryCause::Store => "store",
            RecoveryCause::Halted => "halted",
            RecoveryCause::Panicked => "panicked",
        }
    }
}
