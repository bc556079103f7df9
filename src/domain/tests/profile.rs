//! Customer-upsert beyond the everyday fields: modes, what a match means, maps, clearing, what merchants require.

use super::ledgers;

ledgers! {
    create_refuses_who_exists_and_update_who_does_not: "
        settings
        upsert external_id=ada mode=update                      -> unknown_customer, customer nobody
        upsert external_id=ada mode=create as=ada               -> created, v1
        upsert external_id=ada mode=create first=Ada            -> customer_exists, customer ada, v1, events none
        upsert external_id=ada mode=update first=Ada            -> updated, v2
        upsert external_id=ada mode=create first=Ada on_match=update -> customer_exists
        profile ada                                             -> v2, first Ada
    ";

    a_match_updates_keeps_fills_or_rejects: "
        settings
        upsert external_id=ada first=Ada as=ada                               -> created
        upsert external_id=ada first=Eve last=L on_match=keep                 -> kept, customer ada, v1, events none
        upsert external_id=ada first=Eve last=L on_match=reject               -> customer_exists, customer ada, v1
        upsert external_id=ada first=Eve last=L phone=+491511111111 on_match=fill_missing -> updated, v2, events customer.updated
        profile ada                             -> v2, first Ada, last L, phone +491511111111
        upsert external_id=ada first=Eve phone=+491522222222 on_match=fill_missing -> unchanged, v2
        holder phone:+491522222222              -> nobody
        # What is never missing is not filled.
        upsert external_id=ada active=false notify_email=true clear=last_name on_match=fill_missing -> unchanged, v2
        upsert external_id=ada metadata=a:1+b:2 as=nobody                     -> updated, v3
        upsert external_id=ada metadata=a:9+c:3+b:none on_match=fill_missing  -> updated, v4
        profile ada                             -> v4, active, metadata a:1 + b:2 + c:3
    ";

    the_merchants_way_counts_for_those_who_name_none: "
        settings on_match=keep
        upsert external_id=ada as=ada                           -> created
        upsert external_id=ada first=Ada                        -> kept, v1
        upsert external_id=ada first=Ada on_match=update        -> updated, v2
        # Who says update means it.
        upsert external_id=ada first=Eve mode=update            -> updated, v3
        upsert external_id=ada first=Bob mode=update on_match=keep -> kept, v3
        settings on_match=reject
        upsert external_id=ada first=Bob                        -> customer_exists
        upsert external_id=ada first=Bob mode=update            -> updated, v4
    ";

    an_identifier_of_somebody_else_is_a_conflict_before_all_that: "
        settings
        upsert external_id=ada as=ada                           -> created
        upsert external_id=bob phone=+491511111111 as=bob       -> created
        upsert external_id=ada phone=+491511111111 on_match=keep         -> identity_conflict, detail field=phone
        upsert external_id=ada phone=+491511111111 mode=create           -> identity_conflict
        upsert external_id=ada phone=+491511111111 on_match=fill_missing -> identity_conflict
        upsert external_id=ada phone=+491511111111 mode=update           -> identity_conflict
        upsert ref=nobody-has-it phone=+491511111111 mode=update         -> identity_conflict, customer nobody
    ";

    everything_has_its_place: "
        settings
        upsert external_id=ada \"name=Ada King\" first=Ada registered=2020-02-29T10:00:00Z gender=female language=EN-gb brand=north source_version=4 metrics=visits:1276/1 metadata=shoe:43 as=ada -> created, v1
        profile ada -> name Ada King, first Ada, last none, registered 2020-02-29, gender female, language en-GB, brand north, source_version 4, metrics visits:1276/1, metadata shoe:43
        upsert external_id=ada -> unchanged, v1
        upsert external_id=ada language=en-GB gender=female metrics=visits:1276/1 -> unchanged, v1
        upsert external_id=ada metrics=visits:12760/2 -> updated, v2
        # As sent, not as reckoned: 127.60 is told from 127.6.
        profile ada -> metrics visits:12760/2
    ";

    maps_are_set_key_by_key_and_null_removes: "
        settings
        upsert external_id=ada metrics=a:1+b:2 metadata=x:1+y:2 as=ada  -> created
        upsert external_id=ada metrics=b:3+c:-4/2 metadata=x:none       -> updated, v2
        profile ada                              -> metrics a:1/0 + b:3/0 + c:-4/2, metadata y:2
        upsert external_id=ada metrics=zz:none metadata=x:none          -> unchanged
        upsert external_id=ada metrics=a:none+b:none+c:none             -> updated
        profile ada                              -> metrics none, metadata y:2
    ";

    maps_are_bounded: "
        settings
        upsert external_id=ada metadata=@50 as=ada                      -> created
        upsert external_id=ada metadata=one:1                           -> invalid_fields, fields command.metadata
        upsert external_id=ada metadata=one:1+key-0:none                -> updated, v2
        upsert external_id=ada metrics=@51                              -> invalid_fields, fields command.metrics
        upsert external_id=bob metadata=@101                            -> invalid_fields, fields command.metadata
        upsert external_id=bob metrics=a:1/7+b:1/-1                     -> invalid_fields, fields command.metrics.a.scale + command.metrics.b.scale
        upsert external_id=bob metrics=kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk:1/9 -> invalid_fields, fields command.metrics.kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
        upsert external_id=bob metadata=:1                              -> invalid_fields, fields command.metadata.
        # 8,192 bytes of keys and texts, each number as 8.
        upsert external_id=bob metadata=k:*8191 as=bob                  -> created
        upsert external_id=bob metrics=m:1                              -> invalid_fields, fields command
        upsert external_id=bob metadata=k:*8182 metrics=m:1             -> updated
        upsert external_id=bob metadata=k:*8183                         -> invalid_fields, fields command
    ";

    clearing_is_explicit: "
        settings
        upsert external_id=ada phone=+491511111111 name=Ada birth=1990-01-01 gender=other metadata=a:1 metrics=b:1 as=ada -> created
        upsert external_id=ada clear=phone+birth_date+metadata          -> updated, v2, events customer.updated
        profile ada                    -> v2, phone none, birth none, metadata none, metrics b:1/0, name Ada, gender other
        holder phone:+491511111111     -> nobody
        upsert external_id=ada clear=phone+birth_date+metadata          -> unchanged, v2
        upsert external_id=ada name=Eve clear=name+gender               -> invalid_fields, fields command.name
        upsert external_id=ada name=Eve clear=name+name+name            -> invalid_fields, fields command.name
        upsert external_id=ada metrics=c:1 clear=metrics                -> invalid_fields, fields command.metrics
        upsert external_id=ada clear=external_id                        -> invalid_fields, fields command.external_id
        upsert ref=ada clear=external_id                                -> invalid_fields, fields command
        upsert ref=ada phone=+491511111111 clear=external_id            -> updated
        holder external_id:ada         -> nobody
        upsert phone=+491511111111 first=Ada                            -> updated, customer ada
    ";

    what_a_merchant_requires_must_hold_afterwards: "
        settings required=first_name+email
        upsert external_id=ada                                          -> invalid_fields, fields command.first_name + command.email
        upsert external_id=ada first=Ada email=nonsense                 -> invalid_fields, fields command.email
        upsert external_id=ada first=Ada email=ada@example.com as=ada   -> created
        # What is there already need not be sent again.
        upsert external_id=ada last=King                                -> updated
        upsert external_id=ada clear=email                              -> invalid_fields, fields command.email
        settings required=birth_date
        upsert external_id=ada last=Lovelace                            -> invalid_fields, fields command.birth_date
        # Nothing is asked of who is kept.
        upsert external_id=ada last=Lovelace on_match=keep              -> kept
        upsert external_id=ada last=Lovelace birth=1990-12-10           -> updated
        settings required=                                              -> updated
        upsert external_id=eve                                          -> created
        settings required=name+name                                     -> invalid_fields, fields command.required_fields
    ";

    a_source_version_must_rise: "
        settings
        upsert external_id=ada source_version=5 first=Ada as=ada        -> created
        upsert external_id=ada source_version=5 first=Eve               -> stale, customer ada, v1, detail sent=5 + stored=5
        upsert external_id=ada source_version=4 first=Eve               -> stale
        upsert external_id=ada first=Bob                                -> updated, v2
        upsert external_id=ada source_version=4 on_match=keep           -> kept
        upsert external_id=ada source_version=6 first=Bob               -> updated, v3, events customer.updated
        profile ada                                                     -> v3, first Bob, source_version 6
        upsert external_id=ada source_version=-9223372036854775808      -> stale
    ";

    no_identifier_at_all: "
        settings
        upsert first=Ada                                                -> invalid_fields, fields command
        settings no_identifier=true
        upsert first=Ada as=one                                         -> created, customer one
        upsert first=Ada as=two                                         -> created, customer two
        upsert first=Ada mode=update                                    -> unknown_customer
        upsert ref=id:one phone=+491511111111                           -> updated, customer one
        upsert phone=+491511111111 first=Eve                            -> updated, customer one
        upsert phone=+491511111111 clear=phone                          -> invalid_fields
        upsert ref=id:one clear=phone                                   -> updated
        holder phone:+491511111111                                      -> nobody
    ";

    phones_of_any_form: "
        settings phones=any
        upsert \"phone= 0151 / 23 \" as=ada                             -> created
        profile ada                                                     -> phone 0151 / 23
        upsert \"phone=0151 / 23\" first=Ada                            -> updated, customer ada
        upsert phone=0151/23 as=bob                                     -> created, customer bob
        credit \"phone:0151 / 23\" points 1                             -> unknown_unit
        upsert phone=123456789012345678901                              -> invalid_fields, fields command.phone
        # One number is one customer, however it is written and whatever the settings are.
        upsert \"phone=+49 151 7654321\" as=spaced                     -> created
        profile spaced                                                  -> phone +491517654321
        upsert \"phone=+49 (151) 7654321\" first=Eve                   -> updated, customer spaced
        upsert phone=+491517654321                                      -> unchanged, customer spaced
        upsert phone=+491511234567 as=eve                               -> created
        settings phones=e164
        upsert phone=+491517654321                                      -> unchanged, customer spaced
        upsert \"phone=+49 151 1234567\"                                -> unchanged, customer eve
        upsert \"phone=0151 / 23\"                                      -> invalid_fields
    ";

    an_inactive_profile_may_be_closed: "
        settings needs_active=true
        upsert external_id=ada active=false as=ada                      -> created
        upsert external_id=ada first=Ada                                -> customer_not_active, customer ada, v1
        upsert external_id=ada                                          -> customer_not_active
        upsert external_id=ada active=true first=Ada on_match=fill_missing -> customer_not_active, v1
        upsert external_id=ada active=true first=Ada                    -> updated, v2
        upsert external_id=ada active=false                             -> updated
        settings needs_active=false
        upsert external_id=ada first=Eve                                -> updated
    ";

    a_suspended_merchant_is_told_so: "
        settings
        unit points
        upsert external_id=ada                                          -> created
        settings status=suspended                                       -> updated
        upsert external_id=ada first=Ada key=k                          -> merchant_suspended, customer nobody
        credit ada points 1                                             -> merchant_suspended
        redeem ada points 1 occurred=+1h                                -> merchant_suspended
        malformed credit                                                -> merchant_suspended
        # Before the suspension, by business time.
        at     2026-01-10T13:00Z
        credit ada points 1 occurred=2026-01-10T11:59Z                  -> applied
        unit points name=Miles                                          -> updated
        settings status=active                                          -> updated
        credit ada points 1                                             -> applied
        # Rejections are remembered too.
        upsert external_id=ada first=Ada key=k                          -> merchant_suspended, again k
    ";

    keys_may_have_to_be_tokens: "
        settings keys=token
        upsert external_id=ada key=order-17_A                           -> created
        upsert external_id=bob key=order/17                             -> invalid_idempotency_key
        upsert external_id=bob key=*101                                 -> invalid_idempotency_key
        upsert external_id=bob key=*100                                 -> created
        settings keys=any key=b/c                                       -> invalid_idempotency_key
        settings keys=any                                               -> updated
        upsert external_id=eve key=order/18                             -> created
        settings keys=token
        # Sent before the setting, and again after it: still the same command.
        upsert external_id=eve key=order/18                             -> created, again order/18
    ";

    languages_are_tags: "
        settings
        upsert external_id=ada language=english_please                  -> invalid_fields, fields command.language
        upsert external_id=ada brand=*256 name=*256 registered=2026-02-30 -> invalid_fields, fields command.name + command.registered_on + command.brand_id
    ";
}
