use super::ledgers;

ledgers! {
    a_command_that_comes_again_is_told_the_same: "
        settings key=s                                       -> created, config 1
        settings key=s                                       -> created, again s, config 1, events none
        unit   points key=u
        upsert external_id=ada as=ada key=up                 -> created, v1
        credit ada points 5 key=c                            -> applied, v2, available 5, wrote earn_amount 5
        redeem ada points 2 key=r                            -> applied, v3, available 3, took c 2
        redeem ada points 9 key=no                           -> insufficient_points, detail available=3 + requested=9
        upsert external_id=ada key=up                        -> created, again up, customer ada, v1, events none
        credit ada points 5 key=c                            -> applied, again c, v2, wrote earn_amount 5, events none
        redeem ada points 2 key=r                            -> applied, again r, v3, took c 2, events none
        # It would succeed now, and is refused all the same.
        credit ada points 100 key=more                       -> applied, v4
        redeem ada points 9 key=no                           -> insufficient_points, again no, v3, detail available=3 + requested=9
        unit   points key=u                                  -> created, again u
        account ada points                                   -> available 103, entries 3
        profile ada                                          -> v4
    ";

    /// A duplicate touches no customer: what is due waits for the next command or tick.
    a_duplicate_settles_nothing: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 5 key=c expires=2026-01-11T00:00Z  -> applied, v2
        at     2026-01-12T00:00Z
        credit ada points 5 key=c expires=2026-01-11T00:00Z  -> applied, again c, v2
        profile ada                                          -> v2
        upsert external_id=ada                               -> unchanged, v3
    ";

    other_content_is_a_conflict_and_does_not_overwrite: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 5 key=c                            -> applied, available 5
        credit ada points 6 key=c                            -> idempotency_conflict, customer nobody, detail first=credit/0/0
        redeem ada points 5 key=c                            -> idempotency_conflict
        upsert external_id=ada key=c                         -> idempotency_conflict
        credit ada points 5 key=c reason=other               -> idempotency_conflict
        credit ada points 5 key=c occurred=-1m               -> idempotency_conflict
        malformed credit key=c                               -> idempotency_conflict
        unit   points key=c                                  -> idempotency_conflict
        credit ada points 5 key=c                            -> applied, again c
        credit ada points 6 key=c                            -> idempotency_conflict
        account ada points                                   -> available 5, entries 1
    ";

    where_it_came_from_makes_no_other_command: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 5 key=c source=till                -> applied
        credit ada points 5 key=c source=app                 -> applied, again c
        credit ada points 5 key=c                            -> applied, again c
    ";

    a_key_is_its_merchants: "
        unit   points
        unit   points merchant=bolt key=line-1               -> created
        upsert external_id=ada as=ada key=k                  -> created
        upsert external_id=ada as=other key=k merchant=bolt  -> created
    ";

    a_key_is_remembered_over_all_topics_whatever_became_of_it: "
        settings
        redeem ada points 1 key=k1                           -> unknown_unit
        upsert external_id=ada as=ada key=k1                 -> idempotency_conflict
        credit ada points 0 key=k2                           -> invalid_fields
        credit ada points 1 key=k2                           -> idempotency_conflict
        credit ada points 1 key=k3 occurred=-100h            -> occurred_at_out_of_range
        malformed redeem key=k4                              -> invalid_fields
        malformed redeem key=k4                              -> invalid_fields, again k4
        unit   points
        upsert external_id=ada as=ada
        redeem ada points 1 key=k1                           -> unknown_unit, again k1
        credit ada points 0 key=k2                           -> invalid_fields, again k2, fields command.amount
        credit ada points 1 key=k3 occurred=2026-01-06T08:00Z -> occurred_at_out_of_range, again k3
    ";

    a_key_has_1_to_255_characters: "
        unit   points
        upsert external_id=ada key=\"\"                      -> invalid_idempotency_key, config none
        upsert external_id=ada key=*256                      -> invalid_idempotency_key
        upsert external_id=ada key=*255                      -> created
        settings key=\"\"                                    -> invalid_idempotency_key
    ";

    /// Without occurred_at a command's business time is its record's, and a later delivery is still the same command.
    the_first_delivery_is_the_one_that_counts: "
        unit   points expiry=1
        upsert external_id=ada as=ada
        credit ada points 5 key=c                            -> applied
        after  10d
        credit ada points 5 key=c                            -> applied, again c
        upsert external_id=ada                               -> unchanged, v3
        account ada points                                   -> available 0, earned 5, entries 2
    ";

    /// A record that was sent again says when it came first. It is the same command, and the merchant's window holds for it too.
    a_command_that_is_sent_again_happened_when_it_came_first: "
        unit   points expiry=3
        upsert external_id=ada as=ada
        credit ada points 5 key=c original=2026-01-09T09:00Z -> applied
        credit ada points 5 key=d                            -> applied
        credit ada points 5 key=e original=2026-01-09T09:00Z occurred=2026-01-08T09:00Z -> applied
        lots   ada points                                    -> e 5 until 2026-01-12T00:00Z + c 5 until 2026-01-13T00:00Z + d 5 until 2026-01-14T00:00Z
        credit ada points 5 key=c                            -> applied, again c
        credit ada points 5 key=d original=-1h               -> applied, again d
        credit ada points 5 key=f original=-100h             -> occurred_at_out_of_range
        credit ada points 5 key=g original=-100h occurred=-1h -> applied
    ";

    a_duplicate_finds_its_answer_after_the_order_was_used: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 5 order=o1 key=c                   -> applied
        credit ada points 5 order=o1 key=d                   -> duplicate_order
        credit ada points 5 order=o1 key=c                   -> applied, again c
        credit ada points 5 order=o1 key=d                   -> duplicate_order, again d
    ";
}
