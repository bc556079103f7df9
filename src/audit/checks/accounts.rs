//! Money: balances, lots and entries of each account agree, and so do the sums of each merchant.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::super::facts::{AccountRow, ENTRY_KINDS, EntryRow, LotFact, Name, OrderRow};
use super::super::report::Check;
use super::View;

/// The check of each account, and the trial balance of each merchant's units.
pub fn check(view: View<'_>) -> (Check, Check) {
    let mut accounts = Check::new("accounts", "balance = sum of lots = sum of entries, per account", "accounts");
    let ledger = &view.facts.ledger;
    let mut entries = ledger.entries.chunk_by(|one, other| one.account() == other.account()).peekable();
    for account in &ledger.accounts {
        accounts.examined += 1;
        let of = (account.customer, account.unit);
        while let Some(strays) = entries.next_if(|run| run[0].account() < of) {
            stray(view, strays, &mut accounts);
        }
        let own = entries.next_if(|run| run[0].account() == of).unwrap_or_default();
        judge_account(view, account, own, &mut accounts);
    }
    entries.for_each(|strays| stray(view, strays, &mut accounts));
    for pair in ledger.accounts.windows(2) {
        if (pair[0].customer, pair[0].unit) == (pair[1].customer, pair[1].unit) {
            accounts.fault(|| format!("{} is there twice", place(view, &pair[0])));
        }
    }
    (accounts, totals(view))
}

fn place(view: View<'_>, account: &AccountRow) -> String {
    format!("the {} account of customer {}", view.text(account.unit), account.customer)
}

fn stray(view: View<'_>, entries: &[EntryRow], check: &mut Check) {
    let (customer, unit) = entries[0].account();
    check.fault(|| format!("customer {customer} has {} entries in {}, and no account", entries.len(), view.text(unit)));
}

fn judge_account(view: View<'_>, account: &AccountRow, entries: &[EntryRow], check: &mut Check) {
    let mut problem = |problem: String| check.fault(|| format!("{}: {problem}", place(view, account)));
    match view.customer(account.customer) {
        None => problem("its customer does not exist".to_owned()),
        Some(row) if row.merchant != account.merchant => problem("its customer belongs to another merchant".to_owned()),
        Some(_) => {}
    }
    let replay = Replay::of(account, entries, &mut problem);
    let sums = account.sums;
    let lots: i128 = account.lots.iter().map(|lot| i128::from(lot.remaining)).sum();
    let comparisons = [
        ("available", i128::from(sums.available), "the sum of its lots", lots),
        ("balance", sums.balance(), "the sum of its entries", replay.balance),
        ("number of entries", i128::from(account.entries), "the number of entry rows", entries.len() as i128),
        ("lifetime_earned", i128::from(sums.lifetime_earned), "the sum of what was earned", replay.earned),
        ("lifetime_redeemed", i128::from(sums.lifetime_redeemed), "the sum of what was redeemed", replay.redeemed),
    ];
    for (what, is, other, should) in comparisons {
        if is != should {
            problem(format!("its {what} is {is}, {other} is {should}"));
        }
    }
    let negative = [sums.available, sums.pending, sums.held, sums.debt, sums.lifetime_earned, sums.lifetime_redeemed]
        .into_iter()
        .any(|sum| sum < 0);
    if negative || replay.went_negative {
        problem("a sum of it is or was negative".to_owned());
    }
    replay.judge_lots(account, &mut problem);
    let earliest = account.lots.iter().filter_map(|lot| lot.expires_at).min();
    if let Some(earliest) = earliest
        && account.next_due.is_none_or(|due| due > earliest)
    {
        problem("it has a lot that expires before its next_due".to_owned());
    }
}

/// What an account must be by its entries alone.
#[derive(Default)]
struct Replay {
    balance: i128,
    earned: i128,
    redeemed: i128,
    went_negative: bool,
    /// Each lot that was ever made: its amount, and what is left.
    lots: HashMap<Uuid, (i64, i64)>,
}

impl Replay {
    fn of(account: &AccountRow, entries: &[EntryRow], problem: &mut impl FnMut(String)) -> Replay {
        let mut replay = Replay::default();
        let mut last = None;
        for (entry, due_seq) in entries.iter().zip(1..) {
            if entry.seq != due_seq {
                problem(format!("entry {} stands where entry {due_seq} must", entry.seq));
            }
            if entry.previous != last {
                problem(format!("entry {} does not follow the one before it", entry.seq));
            }
            last = Some(entry.transaction);
            replay.apply(entry, problem);
            if replay.balance != i128::from(entry.balance_after) {
                problem(format!(
                    "entry {} leaves {}, but its row says {}",
                    entry.seq, replay.balance, entry.balance_after
                ));
            }
            replay.went_negative |= replay.balance < 0;
            if entry.merchant != account.merchant {
                problem(format!("entry {} belongs to another merchant", entry.seq));
            }
        }
        if account.last_entry != last {
            problem("its last entry is another".to_owned());
        }
        replay
    }

    fn apply(&mut self, entry: &EntryRow, problem: &mut impl FnMut(String)) {
        self.balance += entry.signed();
        let shares: i128 = entry.lots.iter().map(|share| i128::from(share.amount)).sum();
        if shares != i128::from(entry.amount) || entry.amount <= 0 || entry.lots.iter().any(|share| share.amount <= 0) {
            problem(format!("entry {} is of {}, its lots of {shares}", entry.seq, entry.amount));
        }
        match ENTRY_KINDS.iter().find(|(code, _, _)| *code == entry.kind) {
            None => problem(format!("entry {} is of the unknown kind {}", entry.seq, entry.kind)),
            Some((_, _, true)) => {
                self.earned += i128::from(entry.amount);
                for share in &entry.lots {
                    let made_before = self.lots.insert(share.lot, (share.amount, share.amount)).is_some();
                    if made_before || share.lot != entry.transaction {
                        problem(format!("entry {} makes lot {}, which is not its own", entry.seq, share.lot));
                    }
                }
            }
            Some((_, name, false)) => {
                if *name == "redeem_amount" {
                    self.redeemed += i128::from(entry.amount);
                }
                for share in &entry.lots {
                    match self.lots.get_mut(&share.lot) {
                        Some((_, left)) if *left >= share.amount => *left -= share.amount,
                        Some((_, left)) => {
                            problem(format!(
                                "entry {} takes {} of lot {}, which had {left}",
                                entry.seq, share.amount, share.lot
                            ));
                        }
                        None => {
                            problem(format!("entry {} takes of lot {}, which was never made", entry.seq, share.lot))
                        }
                    }
                }
            }
        }
    }

    fn judge_lots(mut self, account: &AccountRow, problem: &mut impl FnMut(String)) {
        for LotFact { lot, amount, remaining, .. } in &account.lots {
            match self.lots.remove(lot) {
                Some((made, left)) if (made, left) == (*amount, *remaining) => {}
                Some((made, left)) => {
                    problem(format!("lot {lot} is {remaining} of {amount}, its entries leave {left} of {made}"));
                }
                None => problem(format!("lot {lot} was made by none of its entries, or is there twice")),
            }
            if *remaining == 0 {
                problem(format!("lot {lot} is spent and still there"));
            }
        }
        let mut missing: Vec<_> = self.lots.into_iter().filter(|(_, (_, left))| *left != 0).collect();
        missing.sort_unstable();
        for (lot, (_, left)) in missing {
            problem(format!("lot {lot} is gone, though its entries leave {left} of it"));
        }
    }
}

/// Issued minus spent minus expired is what is left, for each merchant and unit: the sums alone, whatever account they stand in.
fn totals(view: View<'_>) -> Check {
    let sentence = "earned - redeemed - expired = what all lots hold, per merchant and unit";
    let mut check = Check::new("totals", sentence, "units");
    let mut sums: BTreeMap<(Name, Name), (i128, i128)> = BTreeMap::new();
    for entry in &view.facts.ledger.entries {
        sums.entry((entry.merchant, entry.unit)).or_default().0 += entry.signed();
    }
    for account in &view.facts.ledger.accounts {
        let held: i128 = account.lots.iter().map(|lot| i128::from(lot.remaining)).sum();
        sums.entry((account.merchant, account.unit)).or_default().1 += held;
    }
    for ((merchant, unit), (entries, lots)) in sums {
        check.examined += 1;
        if entries != lots {
            check.fault(|| {
                let (merchant, unit) = (view.text(merchant), view.text(unit));
                format!("{unit} of merchant {merchant}: the entries leave {entries}, the lots hold {lots}")
            });
        }
    }
    check
}

/// One accepted earning per merchant, order and unit: the rows that reserve orders and the entries that name orders say the same.
pub fn orders(view: View<'_>) -> Check {
    let mut check = Check::new("orders", "every order has earned at most once per unit", "orders");
    let mut reserved: HashSet<OrderRow> = view.facts.ledger.orders.iter().copied().collect();
    let mut earned: HashSet<Uuid> = HashSet::new();
    for entry in view.facts.ledger.entries.iter().filter(|entry| entry.signed() > 0) {
        let Some(order) = entry.order else { continue };
        check.examined += 1;
        let row = OrderRow { order, transaction: entry.transaction };
        if !earned.insert(order) {
            check.fault(|| format!("transaction {} earns for an order that has earned before", entry.transaction));
        } else if !reserved.remove(&row) {
            check.fault(|| {
                format!("transaction {} earns for an order, which no row reserves for it", entry.transaction)
            });
        }
    }
    let mut left: Vec<OrderRow> = reserved.into_iter().collect();
    left.sort_unstable();
    for row in left {
        check.fault(|| format!("an order is reserved for transaction {}, which did not earn for it", row.transaction));
    }
    check
}
