//! Ledgers of commands that wait for their customer.

use super::{OneBook, ledger, ledgers};

ledgers! {
    /// Decided right after the command that makes the customer, in the order in which they came, each as its own command.
    who_comes_finds_what_waited: "
        settings unknown=park
        unit   points
        credit ada points 10 key=first           -> parked
        redeem ada points 4 key=second           -> parked
        credit phone:+491511234567 points 1 key=third -> parked
        credit bob points 7 key=of-bob           -> parked
        outcome first                            ->
        after  1h
        upsert external_id=ada phone=+491511234567 as=ada -> created, v1, events customer.created
        outcome first                            -> applied, v2, customer ada, available 10, wrote earn_amount 10, config 1
        outcome second                           -> applied, v3, available 6, took first 4
        outcome third                            -> applied, v4, available 7
        outcome of-bob                           ->
        history ada                              -> 1 customer.created + 2 points.earned + 3 points.redeemed + 4 points.earned
        credit ada points 1                      -> applied, v5, available 8
        upsert external_id=bob as=bob            -> created, v1
        outcome of-bob                           -> applied, v2, customer bob, available 7
    ";

    /// Whoever gets an identifier later is met as well, and who loses one is not.
    an_identifier_that_is_given_later_is_met: "
        settings unknown=park
        unit   points
        upsert external_id=ada as=ada            -> created
        credit email:Ada@Example.com points 3 key=mail -> parked
        upsert external_id=ada first=Ada         -> updated, v2
        outcome mail                             ->
        upsert external_id=ada email=ada@example.com -> updated, v3
        outcome mail                             -> applied, v4, customer ada
        upsert external_id=ada clear=email       -> updated, v5
        credit email:ada@example.com points 3 key=again -> parked
        tick
        outcome again                            ->
    ";

    /// Until the deadline and not at it, whether or not a tick came; as of the deadline.
    a_deadline_is_an_instant_of_lane_time: "
        settings unknown=park park=60
        unit   points
        credit ada points 1 key=a                -> parked
        credit bob points 1 key=b order=o1       -> parked
        after  59s
        upsert external_id=ada as=ada            -> created
        outcome a                                -> applied, v2
        after  1s
        upsert external_id=bob as=bob            -> created, v1
        outcome b                                -> unknown_customer, customer nobody, config 1
        credit bob points 1 order=o1             -> applied, v2
        credit bob points 1 key=b order=o1       -> unknown_customer, again b
        credit eve points 1 key=e                -> parked
        after  60s
        tick
        outcome e                                -> unknown_customer, wrote none
    ";

    /// What waits is remembered by its key: it is neither applied nor parked twice.
    a_second_delivery_waits_behind_the_first: "
        settings unknown=park park=60
        unit   points
        credit ada points 5 key=k                -> parked
        after  30s
        credit ada points 5 key=k                -> parked
        credit ada points 6 key=k                -> idempotency_conflict
        redeem bob points 5 key=k                -> idempotency_conflict
        upsert external_id=bob key=k             -> idempotency_conflict
        upsert external_id=ada as=ada            -> created
        outcome k                                -> applied, v2, available 5
        outcome k#2                              -> applied, v2, again k
        credit ada points 5 key=k                -> applied, again k
        account ada points                       -> available 5, entries 1

        credit eve points 5 key=e                -> parked
        after  59s
        credit eve points 5 key=e                -> parked
        after  1s
        credit eve points 5 key=e                -> unknown_customer, again e
        outcome e                                -> unknown_customer
        outcome e#2                              -> unknown_customer, again e
    ";

    /// All that precedes `unknown_customer` is answered at once, and no order is reserved by waiting.
    what_is_wrong_anyway_does_not_wait: "
        settings unknown=park
        unit   points
        upsert external_id=ada as=ada            -> created
        credit bob points 0                      -> invalid_fields
        credit bob pears 1                       -> unknown_unit
        credit bob points 1 occurred=-73h        -> occurred_at_out_of_range
        credit id:00000000-0000-8000-8000-000000000000 points 1 -> unknown_customer
        upsert external_id=bob mode=update       -> unknown_customer
        credit bob points 1 key=late order=o1    -> parked
        credit ada points 1 order=o1             -> applied
        upsert external_id=bob as=bob            -> created
        outcome late                             -> duplicate_order, customer bob, v1
    ";

    /// Judged by its own business time, and by the policy under which it came.
    settings_may_change_meanwhile: "
        settings unknown=park
        unit   points expiry=1
        credit ada points 1 key=a                -> parked
        credit bob points 1 key=b                -> parked
        credit phone:+491511234567 points 2 key=p -> parked
        after  1h
        settings unknown=reject status=suspended
        credit ada points 1                      -> merchant_suspended
        settings unknown=enrol status=active phones=any
        upsert external_id=ada phone=+491511234567 as=ada -> created
        outcome a                                -> applied, v2, config 1
        outcome p                                -> applied, v3, config 1
        credit bob points 5 as=bob key=maker     -> applied, v1, events customer.created + points.earned
        outcome b                                -> applied, v2, customer bob, available 6
        lots   bob points                        -> b 1 until 2026-01-12T00:00Z, maker 5 until 2026-01-12T00:00Z
    ";

    /// The merchant's form of keys is asked of a command that comes, and not again of one that has waited.
    a_key_is_looked_at_once: "
        settings unknown=park
        unit   points
        credit ada points 1 key=a.b              -> parked
        settings keys=token from=-1h             -> updated
        credit bob points 1 key=c.d              -> invalid_idempotency_key
        upsert external_id=ada as=ada            -> created
        outcome a.b                              -> applied, v2, config 2
    ";

    /// What the lot would have been is over before its customer came: issued and expired in one command.
    a_lot_may_have_expired_meanwhile: "
        settings unknown=park park=259200
        unit   points expiry=1
        credit ada points 9 key=gone             -> parked
        after  2d
        upsert external_id=ada as=ada            -> created
        outcome gone                             -> applied, v2, available 0, wrote earn_amount 9 + expire 9
    ";

    park_s_has_bounds: "
        settings unknown=park park=0             -> invalid_fields, fields command.park_s
        settings unknown=park park=2592001       -> invalid_fields, fields command.park_s
        settings unknown=park park=2592000       -> created
    ";
}

/// There is an end to what waits for one identifier, and it is commands that are counted: neither does one that comes again take the place of
/// another, nor is it kept for ever.
pub(crate) fn crowd() -> String {
    use crate::domain::parking::MAX_WAITING;
    let mut text = String::from("settings unknown=park\nunit points\n");
    text += "credit ada points 1 key=k0       -> parked\n";
    text += &"credit ada points 1 key=k0       -> parked\n".repeat(MAX_WAITING);
    text += "credit ada points 1 key=k0       -> idempotency_conflict\n";
    for number in 1..MAX_WAITING {
        text += &format!("credit ada points 1 key=k{number} -> parked\n");
    }
    text += "credit ada points 1 key=more     -> unknown_customer\n";
    text += "credit ada points 1 key=k7       -> idempotency_conflict\n";
    text += "credit bob points 1              -> parked\n";
    text += "upsert external_id=ada as=ada    -> created\n";
    text += "outcome k0                       -> applied, v2\n";
    text += &format!("outcome k0#{}                -> applied, v2, again k0\n", MAX_WAITING + 1);
    text += "outcome k99                      -> applied, v101, available 100\n";
    text += "credit ada points 1 key=more     -> unknown_customer, again more\n";
    text
}

#[test]
fn so_many_wait_and_no_more() {
    ledger::check(&mut OneBook::default(), &crowd(), 1);
}
