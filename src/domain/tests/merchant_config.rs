use super::ledgers;

ledgers! {
    each_change_is_a_version: "
        settings                                -> created, config 1, customer nobody, events config.changed
        settings                                -> unchanged, config 1, events none
        settings name=Acme                      -> updated, config 2
        settings zone=Europe/Berlin             -> updated, config 3
        settings name=Acme                      -> unchanged, config 3
        unit   points                           -> created, config 1, events config.changed
        unit   points                           -> unchanged, config 1
        unit   points min_held=5                -> updated, config 2
        unit   stamps                           -> created, config 1
        unit   points name=Miles min_held=5     -> updated, config 3
    ";

    a_merchant_may_have_units_and_no_settings: "
        unit   points                           -> created, config 1
        upsert external_id=ada as=ada           -> created, config none
        credit ada points 1                     -> applied, config none
        settings                                -> created, config 1
        credit ada points 1                     -> applied, config 1
    ";

    /// Nothing that happened before a merchant came is without a rule.
    a_first_version_is_in_force_from_the_beginning: "
        settings max_age=864000 from=+100d      -> created, config 1
        unit   points min_held=5 from=+100d     -> created, config 1
        upsert external_id=ada as=ada           -> created, config 1
        credit ada points 4 occurred=-9d        -> applied, config 1
        redeem ada points 1 occurred=-9d        -> minimum_balance_not_met
    ";

    a_command_is_judged_by_what_was_in_force_at_its_business_time: "
        unit   points min_amount=10                                     -> created
        upsert external_id=ada as=ada
        credit ada points 100
        unit   points min_amount=20 from=2026-01-12T00:00Z              -> updated, config 2
        redeem ada points 10                                            -> applied
        at     2026-01-12T06:00Z
        redeem ada points 10                                            -> below_minimum, detail minimum=20 + requested=10
        redeem ada points 10 occurred=2026-01-11T23:59:59.999999Z       -> applied
        redeem ada points 10 occurred=2026-01-12T00:00:00Z              -> below_minimum
        redeem ada points 20                                            -> applied
        # A version without effective_from is in force from its own business time.
        unit   points min_amount=30 occurred=-1h                        -> updated, config 3
        redeem ada points 20 occurred=-2h                               -> applied
        redeem ada points 20 occurred=-1h                               -> below_minimum, detail minimum=30 + requested=20
    ";

    settings_too_are_judged_by_business_time: "
        settings zone=UTC                                               -> created, config 1
        settings zone=Europe/Berlin from=2026-01-12T00:00Z              -> updated, config 2
        unit   points expiry=10
        upsert external_id=ada as=ada                                   -> created, config 1
        at     2026-01-12T00:00Z
        credit ada points 5 key=utc occurred=-1s                        -> applied, config 1
        credit ada points 5 key=berlin                                  -> applied, config 2
        lots   ada points -> utc 5 until 2026-01-22T00:00Z + berlin 5 until 2026-01-22T23:00Z
    ";

    a_units_scale_is_for_ever: "
        unit   points scale=2                   -> created
        unit   points scale=1                   -> protected_field, detail field=command.scale
        unit   points                           -> protected_field
        unit   points scale=2                   -> unchanged
    ";

    every_bad_field_is_named_at_once: "
        settings ref=ada name=\"\" zone=Berlin match_by= max_age=-1 max_future=86401 -> invalid_fields, config none, fields envelope.customer + command.name + command.time_zone + command.match_by + command.max_age_s + command.max_future_s
        unit   empty ref=ada name=*256 scale=7 expiry=0 min_held=-1 min_amount=0  -> invalid_fields, fields envelope.customer + command.unit_id + command.name + command.scale + command.expiry_days + command.min_held + command.min_amount
        settings match_by=phone+email+phone     -> invalid_fields, fields command.match_by
        settings max_age=9223372036854775807 max_future=-9223372036854775808 -> invalid_fields, fields command.max_age_s + command.max_future_s
        unit   points expiry=3651 scale=-1 min_held=1000000000001 min_amount=1000000000001 -> invalid_fields, fields command.scale + command.expiry_days + command.min_held + command.min_amount
        # A merchant of which nothing was accepted does not exist.
        upsert external_id=ada                  -> unknown_merchant
        settings max_age=316224000 max_future=86400 -> created
        unit   points expiry=3650 scale=6 min_held=1000000000000 min_amount=1000000000000 -> created
    ";

    /// What is wrong with a merchant's first configuration is said, rather than that it has none.
    a_first_configuration_may_be_malformed: "
        malformed merchant-config key=first     -> invalid_fields, fields command
        malformed merchant-config key=first     -> invalid_fields, again first
        malformed credit                        -> unknown_merchant
    ";

    configuration_too_has_a_business_time: "
        settings occurred=-73h                  -> occurred_at_out_of_range
        unit   points occurred=-73h             -> occurred_at_out_of_range
        settings occurred=-72h                  -> created
    ";

    a_change_may_name_the_version_that_it_is_made_for: "
        settings expected=1                     -> version_conflict, detail current=0 + expected=1
        settings expected=0                     -> created, config 1
        settings name=Acme expected=0           -> version_conflict, detail current=1 + expected=0
        settings name=Acme expected=1           -> updated, config 2
        unit   points expected=0                -> created, config 1
        unit   points name=Miles expected=2     -> version_conflict
        unit   points name=Miles expected=1     -> updated, config 2
        unit   points name=Miles expected=1     -> version_conflict
    ";

    a_unit_in_full: "
        unit   eur kind=money currency=EUR scale=2 value=1/1EUR step=50 rounding=half_even description=Cash brand=north attributes=a:1 -> created, config 1
        unit   eur kind=money currency=EUR scale=2 value=1/1EUR step=50 rounding=half_even description=Cash brand=north attributes=a:1 -> unchanged, config 1
        unit   eur kind=money currency=EUR scale=2 value=1/2EUR         -> updated, config 2
        unit   eur kind=points scale=2                                  -> protected_field, detail field=command.kind
        unit   eur kind=money currency=USD scale=2                      -> protected_field, detail field=command.currency
        unit   eur kind=money currency=EUR scale=3                      -> protected_field, detail field=command.scale
        unit   bad kind=money                                           -> invalid_fields, fields command.currency
        unit   bad currency=EUR                                         -> invalid_fields, fields command.currency
        unit   bad kind=money currency=eur value=0/-1usd step=0 brand=*256 description=*501 attributes=@51 -> invalid_fields, fields command.description + command.currency + command.brand_id + command.value.numerator + command.value.denominator + command.value.currency + command.step + command.attributes
    ";

    a_redemption_goes_in_steps: "
        unit   points step=50 min_amount=100
        upsert external_id=ada
        credit ada points 1000
        redeem ada points 50                    -> below_minimum
        redeem ada points 125                   -> not_a_step, detail requested=125 + step=50
        redeem ada points 150                   -> applied, available 850
    ";

    a_merchants_own_profile: "
        settings name=Acme email=Shop@Example.com phone=+49301 social=web:https//acme.example+chat:acme -> created, config 1
        settings email=shop@example.com         -> unchanged, config 1
        settings social=web:https//acme.example -> updated, config 2
        settings social=                        -> updated, config 3
        settings email=nonsense phone=*21 social=@21 -> invalid_fields, fields command.phone + command.email + command.social
    ";

    a_merchants_texts_are_emptied_by_name: "
        settings name=Acme email=shop@example.com phone=+49301          -> created, config 1
        settings clear=phone+email+phone        -> updated, config 2
        settings clear=email zone=UTC           -> unchanged, config 2
        settings name=Acme                      -> unchanged, config 2
        settings name=Miles phone=1 clear=phone+name+email -> invalid_fields, fields command.name + command.phone
        settings phone=+49301                   -> updated, config 3
        settings clear=name+phone               -> updated, config 4
        settings email=shop@example.com         -> updated, config 5
    ";

    /// What a schedule does not change follows.
    what_is_emptied_stays_so_when_a_schedule_comes: "
        settings name=Acme phone=+49301         -> created, config 1
        settings phone=+49302 from=+1h          -> updated, config 2
        settings clear=name+phone               -> updated, config 4
        after  2h
        settings phone=+49302                   -> unchanged, config 4
        settings name=Acme                      -> updated, config 5
    ";
}

#[test]
fn a_merchant_has_at_most_64_units() {
    let units: String = (1..=64).map(|unit| format!("unit unit-{unit} -> created, config 1\n")).collect();
    let text = format!(
        "{units}
        unit   unit-65                          -> invalid_fields, fields command.unit_id
        unit   unit-64 min_held=5               -> updated, config 2
        unit   unit-1 merchant=bolt             -> created"
    );
    super::ledger::check(&mut super::OneBook::default(), &text, 1);
}
