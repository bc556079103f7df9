//! Configuration that waits for its time, and what is changed before it comes.

use super::ledgers;

ledgers! {
    a_patch_of_today_leaves_the_schedule_for_its_time: "
        settings                                                        -> created, config 1
        unit   points expiry=1
        upsert external_id=ada as=ada
        settings zone=Europe/Berlin from=2026-01-12T00:00Z              -> updated, config 2, events config.changed
        # It is made of what is in force today, and what is scheduled is made anew on top of it.
        settings max_future=7200                                        -> updated, config 4, events config.changed + config.changed
        credit ada points 1 key=ahead occurred=+1h expires=2026-02-01T00:00Z -> applied, config 3
        credit ada points 5 key=utc                                     -> applied, config 3
        lots   ada points                                               -> utc 5 until 2026-01-12T00:00Z + ahead 1 until 2026-02-01T00:00Z
        at     2026-01-12T00:00Z
        credit ada points 5 key=berlin                                  -> applied, config 4
        credit ada points 1 key=later occurred=+1h expires=2026-02-02T00:00Z -> applied, config 4
        lots   ada points                                               -> berlin 5 until 2026-01-13T23:00Z + ahead 1 until 2026-02-01T00:00Z + later 1 until 2026-02-02T00:00Z
        settings zone=Europe/Berlin max_future=7200                     -> unchanged, config 4
    ";

    what_is_scheduled_keeps_what_it_changes: "
        settings match_by=phone
        settings match_by=email max_age=600 from=+2d                    -> updated, config 2
        settings match_by=external_id                                   -> updated, config 4
        upsert external_id=ada as=ada                                   -> created, config 3
        upsert email=ada@example.com                                    -> invalid_fields
        after  2d
        upsert email=bob@example.com                                    -> created, config 4
        upsert external_id=ada                                          -> invalid_fields, config 4
        upsert email=cy@example.com occurred=-601s                      -> invalid_fields, config 3
        upsert email=cy@example.com                                     -> created, config 4
    ";

    several_wait_in_the_order_of_their_time: "
        settings                                                        -> created, config 1
        unit   points
        settings status=active max_age=300000 from=+20d                 -> updated, config 2
        settings status=suspended from=+10d                             -> updated, config 4
        # From the tenth day on it is suspended, also after the twentieth: that one did not say otherwise.
        settings max_age=400000                                         -> updated, config 7, events config.changed + config.changed + config.changed
        upsert external_id=ada occurred=-350000s                        -> occurred_at_out_of_range, config 1
        upsert external_id=ada                                          -> created, config 5
        after  10d
        upsert external_id=ada                                          -> merchant_suspended, config 6
        after  10d
        upsert external_id=ada                                          -> merchant_suspended, config 7
        settings status=active                                          -> updated, config 8
        upsert external_id=ada                                          -> unchanged, config 8
    ";

    a_schedule_is_taken_back_at_its_own_instant: "
        settings
        settings status=suspended from=2026-02-01T00:00Z                -> updated, config 2
        settings status=active                                          -> unchanged, config 2
        settings status=active from=2026-02-01T00:00Z                   -> updated, config 3
        at     2026-02-01T00:00Z
        upsert external_id=ada                                          -> created, config 3
    ";

    what_was_scheduled_may_come_sooner: "
        settings
        settings status=suspended from=2026-02-01T00:00Z                -> updated, config 2
        settings status=suspended from=2026-01-20T00:00Z                -> updated, config 4
        # And it is there already when this would begin.
        settings status=suspended from=2026-03-01T00:00Z                -> unchanged, config 4
        upsert external_id=ada                                          -> created, config 1
        at     2026-01-20T00:00Z
        upsert external_id=eve                                          -> merchant_suspended, config 3
        at     2026-02-01T00:00Z
        upsert external_id=eve                                          -> merchant_suspended, config 4
    ";

    /// What is told late is in force from when it happened, and what has been told of later stays.
    a_patch_of_yesterday_goes_under_that_of_today: "
        settings max_age=864000                                         -> created, config 1
        settings zone=Europe/Berlin occurred=-1h                        -> updated, config 2
        settings status=suspended occurred=-1d                          -> updated, config 4
        upsert external_id=ada occurred=-2d                             -> created, config 1
        upsert external_id=ada occurred=-2h                             -> merchant_suspended, config 3
        upsert external_id=ada                                          -> merchant_suspended, config 4
        settings zone=Europe/Berlin                                     -> unchanged, config 4
        settings status=active occurred=-2h                             -> updated, config 6
        upsert external_id=ada occurred=-3h                             -> merchant_suspended, config 3
        upsert external_id=ada occurred=-2h                             -> unchanged, config 5
        upsert external_id=ada                                          -> unchanged, config 6
    ";

    a_preset_may_be_scheduled: "
        settings zone=Europe/Berlin
        settings preset=rewrd from=+1d                                  -> updated, config 2
        settings name=Acme on_match=keep                                -> updated, config 4
        upsert external_id=ada key=a/b                                  -> created, config 3
        after  1d
        upsert phone=+491511234567 key=a/c                              -> invalid_idempotency_key
        # The preset says update, as it was: it changed nothing there, and so follows.
        upsert phone=+491511234567 first=Ada key=a                      -> created, config 4
        upsert phone=+491511234567 first=Eve key=b                      -> kept, config 4
    ";

    a_unit_that_is_put_leaves_the_schedule_too: "
        unit   points min_amount=10                                     -> created, config 1
        upsert external_id=ada as=ada
        credit ada points 100
        unit   points min_amount=30 from=+2d                            -> updated, config 2
        unit   points min_amount=20                                     -> updated, config 4, events config.changed + config.changed
        redeem ada points 10                                            -> below_minimum, detail minimum=20 + requested=10
        unit   points min_amount=20                                     -> unchanged, config 4
        # A unit is whole: the scheduled one stays as it was put.
        unit   points min_amount=20 name=Miles                          -> updated, config 6
        after  2d
        redeem ada points 20                                            -> below_minimum, detail minimum=30 + requested=20
        unit   points min_amount=30                                     -> unchanged, config 6
    ";

    the_version_that_is_expected_is_the_last_that_was_made: "
        settings
        settings status=suspended from=+1d                              -> updated, config 2
        settings name=Acme expected=2                                   -> updated, config 4
        settings name=Bolt expected=3                                   -> version_conflict, detail current=4 + expected=3
        settings name=Bolt expected=4                                   -> updated, config 6
    ";
}

/// Each is made anew by a change before it.
#[test]
fn so_many_may_wait_and_no_more() {
    let days = |count: usize| -> String {
        let names = (1..=count).map(|day| format!("settings name=day-{day} from=+{day}d -> updated\n"));
        names.collect()
    };
    let check = |text: &str| super::ledger::check(&mut super::OneBook::default(), text, 1);
    // A change of today is always taken, and so is another word for an instant that is there.
    let full = format!("settings\n{}", days(10));
    let one_more = "-> invalid_fields, fields effective_from, config 1";
    check(&format!("{full}settings max_age=60 -> updated, config 22"));
    check(&format!("{full}settings name=other from=+9d -> updated, config 13"));
    check(&format!("{full}settings name=day-11 from=+11d {one_more}\nsettings max_age=60 -> updated, config 22"));
    check(&format!("{full}settings name=day-0 from=+1h {one_more}"));
    // One has come into force, and makes room for another.
    check(&format!("{full}after 1d\nsettings name=day-11 from=+11d -> updated, config 12"));
    let units = days(10).replace("settings name=", "unit points name=");
    check(&format!("unit points\n{units}unit points min_held=5 -> updated, config 22"));
    check(&format!("unit points\n{units}unit points min_held=5 from=+11d -> invalid_fields, fields effective_from"));
}
