use super::ledgers;

ledgers! {
    what_is_given_can_be_spent: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 500 key=gift      -> applied, customer ada, v2, available 500, earned 500, wrote earn_amount 500, took gift 500, events points.earned
        redeem ada points 200               -> applied, customer ada, v3, available 300, earned 500, wrote redeem_amount 200, took gift 200, events points.redeemed
        redeem ada points 300               -> applied, v4, available 0
        redeem ada points 1                 -> insufficient_points, v4, available 0, wrote none, events none, detail available=0 + requested=1
        account ada points                  -> available 0, earned 500, redeemed 500, entries 3
        lots   ada points                   ->
        history ada                         -> 1 customer.created + 2 points.earned + 3 points.redeemed + 4 points.redeemed
    ";

    a_customer_is_named_by_any_identifier: "
        unit   points
        upsert external_id=ada phone=+491511234567 email=ada@example.com as=ada
        credit ada points 1                                  -> applied, customer ada
        credit external_id:ada points 1                      -> applied, customer ada
        credit \"phone:+49 (151) 123-4567\" points 1         -> applied, customer ada
        credit \"email: ADA@Example.COM\" points 1           -> applied, customer ada
        credit id:ada points 1                               -> applied, customer ada, available 5
        credit ADA points 1                                  -> unknown_customer, customer nobody
        credit id:00000000-0000-8000-8000-000000000000 points 1 -> unknown_customer
    ";

    no_merchant_sees_the_customers_of_another: "
        unit   points
        unit   points merchant=bolt
        upsert external_id=ada as=ada
        credit id:ada points 1 merchant=bolt   -> unknown_customer, customer nobody
        credit ada points 1 merchant=bolt      -> unknown_customer
        upsert external_id=ada merchant=bolt as=other -> created
        credit ada points 7 merchant=bolt      -> applied, customer other, available 7
        credit ada points 1                    -> applied, customer ada, available 1
    ";

    units_are_apart: "
        unit   points
        unit   stamps
        upsert external_id=ada as=ada
        credit ada points 5 order=o1  -> applied, available 5
        credit ada stamps 3 order=o1  -> applied, available 3
        redeem ada stamps 4           -> insufficient_points, available 3
        account ada points            -> available 5, entries 1
        account ada stamps            -> available 3, entries 1
    ";

    spends_the_earliest_expiry_first_then_the_oldest_and_what_never_expires_last: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 10 key=ever-new                                      -> applied
        credit ada points 10 key=ever-old occurred=-2h                         -> applied
        credit ada points 10 key=late  expires=2026-03-01T00:00Z               -> applied
        credit ada points 10 key=soon  expires=2026-02-01T00:00Z               -> applied
        credit ada points 10 key=soon-old expires=2026-02-01T00:00Z occurred=-1h -> applied
        credit ada points 10 key=soon-too expires=2026-02-01T00:00Z            -> applied
        lots   ada points -> soon-old 10 until 2026-02-01T00:00Z + soon 10 until 2026-02-01T00:00Z + soon-too 10 until 2026-02-01T00:00Z + late 10 until 2026-03-01T00:00Z + ever-old 10 for ever + ever-new 10 for ever
        redeem ada points 25 -> applied, took soon-old 10 + soon 10 + soon-too 5
        redeem ada points 10 -> applied, took soon-too 5 + late 5
        redeem ada points 20 -> applied, took late 5 + ever-old 10 + ever-new 5
        lots   ada points    -> ever-new 5 for ever
    ";

    an_order_earns_once_for_each_unit: "
        unit   points
        unit   stamps
        upsert external_id=ada as=ada
        upsert external_id=bob as=bob
        credit ada points 5 order=o1   -> applied, available 5
        credit ada points 5 order=o1   -> duplicate_order, customer ada, v2, available 5, wrote none
        credit bob points 5 order=o1   -> duplicate_order, customer bob, available 0
        credit bob stamps 5 order=o1   -> applied
        credit ada points 5 order=O1   -> applied
        redeem ada points 1 order=o1   -> applied
        redeem ada points 1 order=o1   -> applied
    ";

    a_refused_earning_reserves_no_order: "
        unit   points
        credit ada points 5 order=o1   -> unknown_customer
        upsert external_id=ada active=false as=ada
        credit ada points 0 order=o1   -> invalid_fields
        credit ada nothing 5 order=o1  -> unknown_unit
        credit ada points 5 order=o1   -> customer_inactive
        upsert external_id=ada active=true
        credit ada points 5 order=o1   -> applied, available 5
        credit ada points 5 order=o1   -> duplicate_order
    ";

    minimums_are_the_units: "
        unit   points min_held=100 min_amount=10
        upsert external_id=ada as=ada
        credit ada points 99      -> applied
        redeem ada points 9       -> below_minimum, v2, available 99, detail minimum=10 + requested=9
        redeem ada points 10      -> minimum_balance_not_met, v2, available 99, detail available=99 + minimum=100
        credit ada points 1       -> applied
        redeem ada points 101     -> insufficient_points, detail available=100 + requested=101
        redeem ada points 100     -> applied, available 0
        credit ada points 1       -> applied, available 1
    ";

    who_is_inactive_neither_earns_nor_redeems: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 5                  -> applied
        upsert external_id=ada active=false  -> updated, v3
        credit ada points 5                  -> customer_inactive, customer ada, v3, wrote none
        redeem ada points 5                  -> customer_inactive, v3
        upsert external_id=ada active=true   -> updated, v4
        redeem ada points 5                  -> applied, v5, available 0
    ";

    amounts_are_from_one_to_a_trillion: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 0                      -> invalid_fields, fields command.amount, customer nobody
        credit ada points -1                     -> invalid_fields, fields command.amount
        credit ada points 1000000000001          -> invalid_fields, fields command.amount
        credit ada points 9223372036854775807    -> invalid_fields, fields command.amount
        credit ada points -9223372036854775808   -> invalid_fields, fields command.amount
        credit ada points 1000000000000          -> applied, available 1000000000000
        redeem ada points 0                      -> invalid_fields, fields command.amount
        redeem ada points -5                     -> invalid_fields, fields command.amount
        redeem ada points 1000000000001          -> invalid_fields, fields command.amount
        redeem ada points 1000000000000          -> applied, available 0
    ";

    a_balance_never_leaves_64_bits: "
        unit   points
        upsert external_id=ada as=ada
        preset ada points 9223372036854775800
        credit ada points 7    -> applied, v2, available 9223372036854775807
        credit ada points 1    -> amount_overflow, v2, available 9223372036854775807, wrote none, events none
        redeem ada points 7    -> applied, v3, available 9223372036854775800
        # What was earned in all is at its end, though the balance is not.
        credit ada points 1 order=o1   -> amount_overflow, v3, available 9223372036854775800
        account ada points     -> available 9223372036854775800, earned 9223372036854775807, redeemed 7, entries 3
    ";

    every_bad_field_is_named_at_once: "
        unit   points
        credit nobody empty 0 order=\"\" reason=*501 title=*256 expires=-1s -> invalid_fields, fields envelope.customer + command.unit + command.amount + command.order_id + command.reason + command.title + command.expires_at
        redeem phone:0151 points 0 order=*256 reason=\" \"  -> invalid_fields, fields envelope.customer.value + command.amount + command.order_id + command.reason
        credit id:ada points 1                            -> invalid_fields, fields envelope.customer.value
        upsert external_id=ada as=ada
        credit ada points 1 order=*255 reason=*500 title=*255 -> applied
        credit ada points 1 expires=+0s                   -> invalid_fields, fields command.expires_at
        credit ada points 1 expires=+1s                   -> applied
    ";

    business_time_lies_within_the_window: "
        unit   points
        upsert external_id=ada as=ada
        credit ada points 1 occurred=-72h             -> applied
        credit ada points 1 occurred=-259201s         -> occurred_at_out_of_range, customer nobody, detail earliest=2026-01-07T12:00:00Z + latest=2026-01-10T12:05:00Z
        credit ada points 1 occurred=+5m              -> applied
        credit ada points 1 occurred=+301s            -> occurred_at_out_of_range
        credit ada points 1 occurred=1900-01-01T00:00Z -> occurred_at_out_of_range
        redeem ada points 1 occurred=-259201s         -> occurred_at_out_of_range
        upsert external_id=ada first=Ada occurred=-259201s -> occurred_at_out_of_range
        malformed credit occurred=-259201s            -> occurred_at_out_of_range
        settings max_age=60 max_future=0              -> created
        credit ada points 1 occurred=-60s             -> applied
        credit ada points 1 occurred=-61s             -> occurred_at_out_of_range
        credit ada points 1 occurred=+1s              -> occurred_at_out_of_range
    ";

    /// When two hold, the earlier in the table of codes is the answer.
    the_first_reason_is_the_answer: "
        credit ada points 0 merchant=ghost key=\"\"            -> unknown_merchant, config none
        settings match_by=phone+external_id
        unit   points
        unit   stamps min_held=100 min_amount=10
        upsert external_id=ada phone=+491511234567 as=ada
        upsert external_id=bob as=bob
        upsert external_id=off active=false as=off
        credit off points 1                                    -> customer_inactive
        credit ada points 5 order=o1 key=used                  -> applied
        credit ada points 0 key=*256 occurred=-100h            -> invalid_idempotency_key, config none
        credit ada points 0 key=used occurred=-100h            -> idempotency_conflict, config none
        credit ada points 0 occurred=-100h                     -> occurred_at_out_of_range, config 1
        credit bob nothing 0                                   -> invalid_fields
        credit eve nothing 1                                   -> unknown_unit, customer nobody
        redeem off nothing 1                                   -> unknown_unit, customer nobody
        unit   points scale=9                                  -> invalid_fields
        unit   points scale=2 min_amount=5                     -> protected_field
        upsert ref=eve phone=+491511234567                     -> identity_conflict, customer nobody
        upsert ref=off phone=+491511234567                     -> identity_conflict, customer off
        upsert ref=eve phone=+491511234567 email=nonsense      -> invalid_fields
        credit eve points 5 order=o1                           -> unknown_customer
        credit off points 5 order=o1                           -> customer_inactive
        redeem off stamps 1                                    -> customer_inactive
        redeem bob stamps 9                                    -> below_minimum
        redeem bob stamps 10                                   -> minimum_balance_not_met
        redeem ada points 6                                    -> insufficient_points
        preset bob points 9223372036854775807
        credit bob points 5 order=o1                           -> duplicate_order
        credit bob points 5 order=o2                           -> amount_overflow
    ";

    a_refusal_changes_nothing: "
        unit   points min_held=100
        upsert external_id=ada as=ada
        credit ada points 50
        credit ada points 0          -> invalid_fields
        redeem ada points 10         -> minimum_balance_not_met
        credit ada nothing 10        -> unknown_unit
        upsert external_id=ada email=nonsense -> invalid_fields
        profile ada                  -> v2, email none
        account ada points           -> available 50, earned 50, redeemed 0, entries 1
        history ada                  -> 1 customer.created + 2 points.earned
    ";
}
