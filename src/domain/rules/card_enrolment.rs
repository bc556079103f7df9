//! Enrolling a customer in a stamp card: rule 14. Once for each customer and card, with the card's welcome stamps.

use std::sync::Arc;

use crate::domain::book::Book;
use crate::domain::case::Case;
use crate::domain::config::objects::{Card, CardStatus};
use crate::domain::event::Fact;
use crate::domain::ledger::account::Lot;
use crate::domain::ledger::entry::{Entry, EntryKind, LotShare};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::values::ids::{CustomerId, LotId, UnitId};

/// The card that a command names, as it is at business time.
pub(in crate::domain) struct NamedCard {
    id: String,
    version: i64,
    card: Card,
}

/// The card's version at business time, if the command names one.
pub(in crate::domain) fn find(
    book: &Book,
    case: &Case<'_>,
    card_id: Option<&String>,
) -> Result<Option<NamedCard>, Rejection> {
    let Some(id) = card_id else { return Ok(None) };
    let found = case.config(book).and_then(|config| config.card_at(id, case.occurred_at));
    let (card, version) = found.ok_or_else(|| {
        Rejection::new(RejectionCode::UnknownCard, "The merchant has no such card at the command's business time.")
            .with("card", id)
    })?;
    Ok(Some(NamedCard { id: id.clone(), version, card: card.clone() }))
}

impl NamedCard {
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn check_open(&self) -> Result<(), Rejection> {
        match self.card.status {
            CardStatus::Active => Ok(()),
            CardStatus::Archived => Err(Rejection::new(
                RejectionCode::CardArchived,
                "The card is archived at the command's business time: nobody is enrolled in it any more.",
            )
            .with("card", &self.id)),
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
        let stamps = i64::from(self.card.initial_stamps);
        let entry = (stamps > 0).then(|| self.add_stamps(book, case, customer, stamps));
        let membership = book.membership(customer, case.moment.lane_time);
        let card = membership.and_then(|membership| membership.card(&self.id).cloned()).map(Arc::new)?;
        facts.push(Fact::CardEnrolled { card: card.clone(), send_card_links });
        if let Some(entry) = &entry {
            let balance = book.balance(customer, &entry.unit_id);
            facts.push(Fact::StampsAdded { entry: entry.clone(), balance, card: card.clone() });
        }
        let reached = self.card.rewards.iter().filter(|reward| i64::from(reward.stamps) <= stamps);
        facts.extend(reached.map(|reward| Fact::CardRewardReached { reward: reward.clone(), card: card.clone() }));
        entry
    }

    /// Stamps never expire.
    fn add_stamps(&self, book: &mut Book, case: &Case<'_>, customer: CustomerId, stamps: i64) -> Arc<Entry> {
        let unit = UnitId::new(self.id.as_str());
        let transaction_id = case.moment.seed.transaction_id(0);
        let lot = Lot {
            lot_id: LotId(transaction_id.0),
            amount: stamps,
            remaining: stamps,
            issued_at: case.occurred_at,
            expires_at: None,
        };
        let account = book.account_mut(customer, &unit);
        account.credit(lot).expect("the account of a card that is new holds nothing");
        let previous = account.append(transaction_id);
        let entry = Entry {
            transaction_id,
            previous,
            customer_id: customer,
            unit_id: unit,
            seq: account.entries,
            kind: EntryKind::Stamp,
            amount: stamps,
            balance_after: account.balance(),
            lots: vec![LotShare { lot_id: lot.lot_id, amount: stamps }],
            unit_version: Some(self.version),
            order_id: None,
            reason: None,
            title: None,
            cause: Some(case.moment.position),
            occurred_at: case.occurred_at,
            recorded_at: case.moment.lane_time,
        };
        book.record(entry)
    }
}
