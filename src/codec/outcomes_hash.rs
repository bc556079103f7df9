//! The hash that the journal keeps of what a batch decided. Doing the batch again must give it again, whatever the schemas and formats of
//! the records are by then; so it is over what was decided, not over bytes.

use sha2::{Digest, Sha256};

use crate::batch::ChangeSet;
use crate::domain::{CustomerId, Fact, Position};

/// SHA-256 over the canonical outcomes: positions, verdicts, customers and versions, entries, events, dead letters.
pub fn outcomes_hash(changes: &ChangeSet) -> [u8; 32] {
    let mut canonical = Canonical(Sha256::new());
    canonical.length(changes.outcomes.len());
    for outcome in &changes.outcomes {
        canonical.position(outcome.position);
        canonical.position_or_none(outcome.original);
        let decision = &outcome.decision;
        match &decision.verdict {
            Ok(effect) => canonical.text(effect.name()),
            Err(rejection) => canonical.text(rejection.code.code()),
        }
        canonical.customer(decision.customer_id);
        canonical.number(decision.customer_version.unwrap_or(0));
        canonical.number(decision.config_version.unwrap_or(0));
        canonical.length(decision.entries.len());
        for entry in &decision.entries {
            canonical.0.update(entry.transaction_id.0.as_bytes());
            canonical.text(entry.kind.name());
            canonical.number(entry.amount);
            canonical.number(entry.balance_after);
        }
    }
    // Entries that time wrote belong to no outcome; their events name them.
    canonical.length(changes.events.len());
    for event in &changes.events {
        canonical.0.update(event.event_id.0.as_bytes());
        canonical.text(event.fact.type_name());
        canonical.customer(event.customer_id);
        canonical.number(event.version);
        if let Fact::CommandParked { deadline, .. } = &event.fact {
            canonical.number(deadline.micros());
        }
    }
    canonical.length(changes.rows.entries.len());
    for entry in &changes.rows.entries {
        canonical.0.update(entry.transaction_id.0.as_bytes());
        canonical.number(entry.amount);
        canonical.number(entry.balance_after);
    }
    canonical.length(changes.dead_letters.len());
    for (position, dead_letter) in &changes.dead_letters {
        canonical.position(*position);
        canonical.text(dead_letter.class.code());
    }
    canonical.0.finalize().into()
}

struct Canonical(Sha256);

impl Canonical {
    fn number(&mut self, number: i64) {
        self.0.update(number.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        self.0.update((length as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text.as_bytes());
    }

    fn position(&mut self, position: Position) {
        self.0.update(position.topic.code().to_be_bytes());
        self.0.update(position.partition.to_be_bytes());
        self.number(position.offset);
    }

    fn position_or_none(&mut self, position: Option<Position>) {
        match position {
            Some(position) => self.position(position),
            None => self.0.update([0]),
        }
    }

    fn customer(&mut self, customer: Option<CustomerId>) {
        match customer {
            Some(customer) => self.0.update(customer.0.as_bytes()),
            None => self.0.update([0]),
        }
    }
}
