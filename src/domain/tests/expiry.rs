use super::ledgers;
use crate::domain::Instant;
use crate::domain::config::Zone;

ledgers! {
    a_lot_expires_at_the_end_of_the_local_day: "
        settings zone=Europe/Berlin
        unit   points expiry=180
        upsert external_id=ada as=ada
        at     2026-01-10T22:59:59Z
        credit ada points 5 key=before -> applied
        at     2026-01-10T23:00:00Z                                     # the 11th in Berlin
        credit ada points 5 key=after  -> applied
        lots   ada points              -> before 5 until 2026-07-09T22:00Z + after 5 until 2026-07-10T22:00Z
    ";

    at_its_very_instant_a_lot_is_gone: "
        unit   points
        upsert external_id=ada as=ada
        upsert external_id=bob as=bob
        credit ada points 5 expires=2026-02-01T00:00Z
        credit bob points 5 expires=2026-02-01T00:00Z
        at     2026-01-31T23:59:59.999999Z
        redeem ada points 5            -> applied, v3, available 0
        at     2026-02-01T00:00:00Z
        redeem bob points 5            -> insufficient_points, v3, available 0, events none
        history bob                    -> 1 customer.created + 2 points.earned + 3 points.expired
        account bob points             -> available 0, earned 5, redeemed 0, entries 2
    ";

    it_makes_no_difference_whether_a_tick_came: "
        unit   points
        upsert external_id=ada as=ada
        upsert external_id=bob as=bob
        credit ada points 5 expires=2026-02-01T00:00Z
        credit ada points 6 expires=2026-02-02T00:00Z
        credit ada points 7 expires=2026-02-02T00:00Z key=last
        credit bob points 5 expires=2026-02-01T00:00Z
        credit bob points 6 expires=2026-02-02T00:00Z
        credit bob points 7 expires=2026-02-02T00:00Z
        at     2026-02-01T12:00Z
        tick
        redeem ada points 1 key=one    -> applied, v6, available 12
        at     2026-02-03T00:00Z
        upsert external_id=bob         -> unchanged, v6, events none
        tick
        history ada -> 1 customer.created + 2 points.earned + 3 points.earned + 4 points.earned + 5 points.expired + 6 points.redeemed + 7 points.expired
        history bob -> 1 customer.created + 2 points.earned + 3 points.earned + 4 points.earned + 5 points.expired + 6 points.expired
        account ada points -> available 0, redeemed 1, entries 6
        account bob points -> available 0, redeemed 0, entries 5
    ";

    what_is_due_is_settled_before_any_command_that_touches_the_customer: "
        unit   points
        upsert external_id=ada phone=+491511111111 as=ada
        credit ada points 5 order=o1 expires=2026-02-01T00:00Z
        credit ada points 5 expires=2026-02-02T00:00Z
        credit ada points 5 expires=2026-02-03T00:00Z
        credit ada points 5 expires=2026-02-04T00:00Z
        credit ada points 5 expires=2026-02-05T00:00Z
        at     2026-02-01T00:00Z
        credit ada points 5 order=o1             -> duplicate_order, v7, available 20
        at     2026-02-02T00:00Z
        upsert phone=+491511111111 active=false  -> updated, v9
        at     2026-02-03T00:00Z
        redeem ada points 5                      -> customer_inactive, v10
        at     2026-02-04T00:00Z
        upsert external_id=ada                   -> unchanged, v11
        at     2026-02-05T00:00Z
        redeem ada nothing 5                     -> unknown_unit, customer nobody
        profile ada                              -> v11
    ";

    every_unit_is_settled_in_the_order_of_time: "
        unit   points
        unit   apples
        upsert external_id=ada as=ada
        credit ada points 5 expires=2026-02-01T00:00Z
        credit ada points 6 expires=2026-02-03T00:00Z
        credit ada apples 7 expires=2026-02-02T00:00Z
        credit ada apples 8 expires=2026-02-03T00:00Z
        at     2026-03-01T00:00Z
        redeem ada points 1  -> insufficient_points, v9
        account ada apples   -> available 0, entries 4
        account ada points   -> available 0, entries 4
    ";

    an_earning_that_comes_too_late_is_issued_and_expired_at_once: "
        settings max_age=31536000
        unit   points expiry=1
        upsert external_id=ada as=ada
        credit ada points 9 key=live                -> applied, v2, available 9
        credit ada points 5 occurred=-3d key=dead order=o1 -> applied, v3, available 9, earned 14, wrote earn_amount 5 + expire 5, took dead 5, events points.earned + points.expired
        credit ada points 5 order=o1                -> duplicate_order, v3
        # The first day that is still alive.
        at     2026-01-11T23:59:59Z
        credit ada points 5 occurred=2026-01-10T00:00Z key=kept -> applied, wrote earn_amount 5
        at     2026-01-12T00:00:00Z
        credit ada points 5 occurred=2026-01-10T23:00Z -> applied, v6, available 0, wrote earn_amount 5 + expire 5
        history ada -> 1 customer.created + 2 points.earned + 3 points.earned + 3 points.expired + 4 points.earned + 5 points.expired + 6 points.earned + 6 points.expired
        account ada points -> available 0, earned 24, redeemed 0, entries 7
    ";

    time_never_goes_back: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 5 expires=2026-02-01T00:00Z
        at     2026-02-01T00:00Z
        tick
        at     2026-01-31T00:00Z                                        # a record of a topic that was passed over
        redeem ada points 5            -> insufficient_points, v3
        credit ada points 5 expires=2026-01-31T12:00Z -> applied, v4, available 0, wrote earn_amount 5 + expire 5
    ";

    a_change_of_policy_applies_to_later_lots: "
        unit   points expiry=10
        upsert external_id=ada as=ada
        credit ada points 5 key=ten         -> applied
        unit   points                       -> updated, config 2
        credit ada points 5 key=ever        -> applied
        unit   points expiry=20             -> updated, config 3
        credit ada points 5 key=twenty      -> applied
        credit ada points 5 key=asked expires=2026-01-15T00:00Z -> applied
        lots   ada points -> asked 5 until 2026-01-15T00:00Z + ten 5 until 2026-01-21T00:00Z + twenty 5 until 2026-01-31T00:00Z + ever 5 for ever
    ";

    a_day_without_midnight_begins_when_its_clocks_do: "
        settings zone=Africa/Cairo
        unit   points expiry=103
        upsert external_id=ada as=ada
        credit ada points 5 key=gap    -> applied                       # 24 April 2026 begins at 01:00
        lots   ada points              -> gap 5 until 2026-04-23T22:00Z
    ";

    a_day_with_two_midnights_begins_at_the_first: "
        settings zone=America/Havana
        unit   points expiry=294
        upsert external_id=ada as=ada
        credit ada points 5 key=fold   -> applied                       # 1 November 2026
        lots   ada points              -> fold 5 until 2026-11-01T04:00Z
    ";
}

#[test]
fn the_end_of_a_day_is_the_first_instant_of_the_next() {
    let cases = [
        ("UTC", "2026-01-10T00:00:00Z", 1, "2026-01-12T00:00:00Z"),
        ("Europe/Berlin", "2026-03-28T12:00:00Z", 1, "2026-03-29T22:00:00Z"),
        ("Asia/Kathmandu", "2026-01-10T18:14:59Z", 1, "2026-01-11T18:15:00Z"),
        ("Asia/Kathmandu", "2026-01-10T18:15:00Z", 1, "2026-01-12T18:15:00Z"),
        // Samoa went over the date line and had no 30 December.
        ("Pacific/Apia", "2011-12-28T12:00:00Z", 1, "2011-12-30T10:00:00Z"),
        // Greenland's gap ends at midnight.
        ("America/Nuuk", "2026-03-27T12:00:00Z", 1, "2026-03-29T01:00:00Z"),
    ];
    for (zone, issued, days, end) in cases {
        let zone = Zone::named(zone);
        assert!(zone.is_known());
        let end_of_day = instant(issued).end_of_local_day_after(days, zone.rules());
        assert_eq!(end_of_day, instant(end), "{days} days after {issued} in {zone:?}");
    }
}

#[test]
fn no_instant_is_too_far() {
    let zone = Zone::named("Pacific/Kiritimati").rules().clone();
    let extremes = [i64::MIN, i64::MIN + 1, Instant::EARLIEST.micros(), 0, Instant::LATEST.micros(), i64::MAX];
    for micros in extremes {
        for days in [0, 1, 3650, u16::MAX] {
            let end = Instant::from_micros(micros).end_of_local_day_after(days, &zone);
            assert!(end > Instant::from_micros(micros) || end == Instant::LATEST, "{micros} {days}");
        }
    }
}

fn instant(text: &str) -> Instant {
    Instant::from_micros(text.parse::<jiff::Timestamp>().expect(text).as_microsecond())
}
