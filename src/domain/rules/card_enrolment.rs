//! Enrolling a customer in a stamp card: rule 14. Once for each customer and card, with the card's welcome stamps.

use std::sync::Arc;

use crate::domain::book::{Book, Movement, Posting};
use crate::domain::case::Case;
use crate::domain::config::history::Version;
use crate::domain::config::objects::{Card, CardStatus};
use crate::domain::event::{Counted, Fact};
use crate::domain::ledger::entry::{Entry, EntryKind};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::values::ids::{CustomerId, UnitId};

/// The card that a command names, as it is at business time.
pub(in crate::domain) struct NamedCard(Arc<Version<Card>>);

/// The card's version at business time, if the command names one.
pub(in crate::domain) fn find(
    book: &Book,
    case: &Case<'_>,
    card_id: Option<&String>,
) -> Result<Option<NamedCard>, Rejection> {
    let Some(id) = card_id else { return Ok(None) };
    let found = case.config(book).and_then(|config| config.at::<Card>(id, case.occurred_at));
    let card = found.ok_or_else(|| {
        Rejection::new(RejectionCode::UnknownCard, "The merchant has no such card at the command's business time.")
            .with("card", id)
    })?;
    Ok(Some(NamedCard(card.clone())))
}

impl NamedCard {
    pub fn id(&self) -> &str {
        &self.0.card_id
    }

    pub fn check_open(&self) -> Result<(), Rejection> {
        match self.0.status {
            CardStatus::Active => Ok(()),
            CardStatus::Archived => Err(Rejection::new(
                RejectionCode::CardArchived,
                "The card is archived at the command's business time: nobody is enrolled in it any more.",
            )
            .with("card", self.id())),
        }
    }

    /// Gives a customer, who has the card among its own already, the card's welcome, and adds what is to be told.
    pub fn welcome(
        &self,
        book: &mut Book,
        case: &Case<'_>,
        customer: CustomerId,
        send_card_links: bool,
        facts: &mut Vec<Fact>,
    ) -> Option<Arc<Entry>> {
        let stamps = i64::from(self.0.initial_stamps);
        let entry = (stamps > 0).then(|| self.add_stamps(book, case, customer, stamps));
        let membership = book.membership(customer, case.moment.lane_time);
        let card = membership.and_then(|membership| membership.card(self.id()).cloned()).map(Arc::new)?;
        facts.push(Fact::CardEnrolled { card: card.clone(), send_card_links });
        if let Some(entry) = &entry {
            let balance = book.balance(customer, &entry.unit_id);
            let counted = Counted::Card(card.clone());
            facts.push(Fact::Posted { entry: entry.clone(), balance, counted, end: None });
        }
        let reached = self.0.rewards.iter().filter(|reward| i64::from(reward.stamps) <= stamps);
        facts.extend(reached.map(|reward| Fact::CardRewardReached { reward: reward.clone(), card: card.clone() }));
        entry
    }

    /// Stamps never expire.
    fn add_stamps(&self, book: &mut Book, case: &Case<'_>, customer: CustomerId, stamps: i64) -> Arc<Entry> {
        let unit = UnitId::new(self.id());
        let movement = Movement::Issue { amount: stamps, expires_at: None };
        let posting = Posting::new(EntryKind::Stamp, movement, Some(self.0.version));
        book.post(customer, &unit, posting, 0, &case.cause(false))
            .expect("the account of a card that is new holds nothing")
    }
}
