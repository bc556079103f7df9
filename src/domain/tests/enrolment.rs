use super::ledgers;

ledgers! {
    a_credit_makes_the_customer_that_nobody_knows: "
        settings unknown=enrol                               -> created, config 1
        unit   points
        credit ada points 500 key=first as=ada               -> applied, customer ada, v1, available 500, wrote earn_amount 500, events customer.created + points.earned
        profile ada                                          -> v1, incomplete, active, external_id ada, phone none, email none, first none, notify email=false phone=false
        lots   ada points                                    -> first 500 for ever
        credit ada points 5                                  -> applied, customer ada, v2, available 505, events points.earned
        redeem ada points 505                                -> applied, customer ada, v3, available 0
        profile ada                                          -> v3, incomplete
        history ada                                          -> 1 customer.created + 1 points.earned + 2 points.earned + 3 points.redeemed
    ";

    /// Once decided, always decided so.
    an_enrolment_that_comes_again_is_the_same: "
        settings unknown=enrol
        unit   points
        credit ada points 500 key=first as=ada               -> applied, customer ada, v1
        credit ada points 500 key=first                      -> applied, customer ada, v1, again first, events none
        settings unknown=reject
        credit bob points 1 key=bob                          -> unknown_customer
        settings unknown=enrol
        credit bob points 1 key=bob                          -> unknown_customer, again bob
        credit bob points 1 as=bob                           -> applied, customer bob, v1
    ";

    every_identifier_of_match_by_enrols_in_its_one_form: "
        settings unknown=enrol
        unit   points
        credit \"phone:+49 (151) 123-4567\" points 1 as=ada  -> applied, customer ada
        credit phone:+491511234567 points 1                  -> applied, customer ada, v2
        credit \"email: ADA@Example.COM\" points 1 as=eve    -> applied, customer eve
        profile ada                                          -> phone +491511234567, email none
        profile eve                                          -> email ada@example.com, phone none
        holder phone:+491511234567                           -> ada
        credit phone:0151 points 1                           -> invalid_fields, fields envelope.customer.value
        credit nobody points 1                               -> invalid_fields, fields envelope.customer
        # No identifier: whose it would be, nobody could say.
        credit id:00000000-0000-8000-8000-000000000000 points 1 -> unknown_customer, customer nobody
        # By these an upsert would not find the customer again.
        settings match_by=phone
        credit bob points 1                                  -> unknown_customer, customer nobody
        credit email:bob@example.com points 1                -> unknown_customer
        credit phone:+4930 points 1                          -> invalid_fields
        credit phone:+49301234567 points 1                   -> applied
        settings no_identifier=true
        credit bob points 1 as=bob                           -> applied, customer bob, v1
    ";

    a_redemption_enrols_nobody: "
        settings unknown=enrol
        unit   points
        redeem ada points 1                                  -> unknown_customer, customer nobody, events none
        credit ada points 5 as=ada                           -> applied, customer ada, v1
        redeem ada points 1                                  -> applied, customer ada, v2
    ";

    a_credit_that_is_refused_enrols_nobody: "
        settings unknown=enrol
        unit   points
        upsert external_id=ada as=ada
        credit ada points 5 order=o1                         -> applied
        credit eve points 0                                  -> invalid_fields
        credit eve nothing 1                                 -> unknown_unit, customer nobody
        credit eve points 5 order=o1                         -> duplicate_order, customer nobody, available , wrote none, events none
        credit eve points 5 occurred=-73h                    -> occurred_at_out_of_range
        holder external_id:eve                               -> nobody
        credit eve points 5 order=o2 as=eve                  -> applied, customer eve, v1
        credit ada points 5 order=o2                         -> duplicate_order, customer ada
        settings status=suspended
        credit bob points 1                                  -> merchant_suspended
        holder external_id:bob                               -> nobody
    ";

    nobody_is_enrolled_unless_the_merchant_says_so: "
        unit   points
        credit ada points 1                                  -> unknown_customer
        settings                                             -> created, config 1
        credit ada points 1                                  -> unknown_customer
        settings unknown=reject                              -> unchanged
        settings unknown=enrol                               -> updated, config 2
        credit ada points 1 as=ada                           -> applied, customer ada
        unit   points merchant=bolt
        credit ada points 1 merchant=bolt                    -> unknown_customer
        # Judged by what was in force when it happened.
        credit eve points 1 occurred=-1s                     -> unknown_customer
    ";

    an_earning_that_had_expired_is_one_version_too: "
        settings unknown=enrol max_age=864000
        unit   points expiry=1
        credit ada points 7 occurred=-5d as=ada              -> applied, customer ada, v1, available 0, wrote earn_amount 7 + expire 7, events customer.created + points.earned + points.expired
        history ada                                          -> 1 customer.created + 1 points.earned + 1 points.expired
    ";

    an_upsert_is_the_sign_up: "
        settings unknown=enrol required=first_name
        unit   points
        credit phone:+491511234567 points 5 as=ada           -> applied, customer ada, v1
        upsert phone=+491511234567 last=Lovelace             -> invalid_fields, fields command.first_name
        profile ada                                          -> v1, incomplete
        upsert phone=+491511234567 external_id=ada first=Ada notify_phone=true -> updated, customer ada, v2, events customer.updated
        profile ada                                          -> v2, complete, external_id ada, first Ada, notify email=false phone=true
        upsert external_id=ada first=Ada                     -> unchanged, v2
        credit phone:+491511234567 points 5                  -> applied, customer ada, v3, available 10
        profile ada                                          -> v3, complete
    ";

    /// Nothing else is another, but that somebody stands behind it.
    an_upsert_that_says_no_more_completes: "
        settings unknown=enrol
        unit   points
        credit ada points 5 as=ada                           -> applied, v1
        upsert external_id=ada                               -> updated, customer ada, v2, events customer.updated
        profile ada                                          -> v2, complete
        upsert external_id=ada                               -> unchanged, v2
    ";

    /// Whatever the merchant wants of those that exist: nobody has said anything of this one.
    an_incomplete_customer_is_filled_in_every_mode: "
        settings unknown=enrol on_match=reject
        unit   points
        credit ada points 5 as=ada
        upsert external_id=ada first=Ada active=false        -> updated, customer ada, v2, events customer.updated + customer.deactivated
        upsert external_id=ada first=Eve                     -> customer_exists, customer ada
        credit bob points 5 as=bob
        upsert external_id=bob mode=create first=Bob         -> updated, customer bob, v2
        upsert external_id=bob mode=create first=Bob         -> customer_exists
        credit cy points 5 as=cy
        upsert ref=cy on_match=keep email=cy@example.com     -> updated, customer cy, v2
        upsert ref=cy on_match=keep email=other@example.com  -> kept, v2
        credit di points 5 as=di
        upsert external_id=di on_match=fill_missing notify_email=true -> updated, customer di
        profile di                                           -> complete, notify email=true phone=false
        # Two that a credit has made are two.
        credit phone:+491511234567 points 5 as=one
        credit email:a@example.com points 5 as=two
        upsert phone=+491511234567 email=a@example.com       -> identity_conflict
        profile one                                          -> v1, incomplete
    ";

    no_preset_enrols: "
        settings preset=rewrd unknown=enrol
        unit   points
        credit phone:+491511234567 points 5 as=ada           -> applied
        settings preset=rewrd                                -> updated
        credit phone:+491511234568 points 5                  -> unknown_customer
        settings preset=masivo                               -> updated
        credit c-1 points 5                                  -> unknown_customer
    ";
}
