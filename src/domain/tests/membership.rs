//! Tiers, programmes and stamp cards: who is enrolled in what, and what is told of it.

use super::ledgers;

ledgers! {
    new_customers_are_enrolled_in_the_active_programme: "
        unit points
        upsert external_id=old as=old                            -> created, tier none
        tier gold name=Gold rank=20
        tier bronze name=Bronze rank=10
        programme club unit=points tiers=gold+bronze             -> created, config 1
        upsert external_id=ada as=ada                            -> created, tier Bronze, events customer.created
        profile ada                                              -> programme club, tier bronze
        # Who was there before stays as it was.
        upsert external_id=old first=Old                         -> updated, tier none
        profile old                                              -> programme none, tier none
        settings base_tier=gold
        upsert external_id=bo as=bo                              -> tier Gold
        settings unknown=enrol
        credit eve points 5 as=eve                               -> applied, events customer.created + points.earned
        profile eve                                              -> incomplete, programme club, tier gold
        # An archived programme enrols nobody.
        programme club unit=points tiers=gold+bronze active=false -> updated, config 2
        settings clear=base_tier_id
        upsert external_id=cy as=cy                              -> created, tier none
        profile cy                                               -> programme none
    ";

    a_programme_and_the_base_tier_name_what_there_is: "
        programme club unit=points                               -> unknown_unit, detail unit=points
        unit points
        programme club unit=points tiers=gold                    -> unknown_tier, detail tier=gold
        settings base_tier=gold                                  -> unknown_tier, detail tier=gold
        tier gold
        programme club unit=points tiers=gold                    -> created
        programme club unit=points tiers=gold                    -> unchanged, config 1
        settings base_tier=gold                                  -> created
        programme other unit=points                              -> in_use, detail programme=club
        programme other unit=points active=false                 -> created
        programme club unit=points tiers=gold active=false expected=7 -> version_conflict, detail current=1 + expected=7
        programme club unit=points active=false expected=1       -> updated, config 2
        programme other unit=points                              -> updated
        programme club unit=points tiers=gold+gold               -> invalid_fields, fields command.tier_ids
        tier gold rank=-1                                        -> invalid_fields, fields command.rank
        tier empty                                               -> invalid_fields, fields command.tier_id
        tier gold ref=id:01971e5c-0000-8000-8000-000000000000    -> invalid_fields, fields envelope.customer
    ";

    a_tier_is_assigned_by_hand: "
        tier base name=Base
        tier vip name=Vip rank=5
        settings base_tier=base
        upsert external_id=ada as=ada                            -> tier Base
        after 1h
        upsert external_id=ada tier=vip                          -> updated, v2, tier Vip, events customer.updated + tier.changed
        profile ada                                              -> tier vip by hand, tier_since 2026-01-10T13:00:00Z
        after 1h
        upsert external_id=ada tier=vip                          -> unchanged, v2, tier Vip
        upsert external_id=ada first=Ada                         -> updated, events customer.updated
        profile ada                                              -> tier vip by hand, tier_since 2026-01-10T13:00:00Z
        upsert external_id=ada tier=vip clear=tier_id            -> invalid_fields, fields command.tier_id
        upsert external_id=ada clear=tier_id                     -> updated, tier Base, events customer.updated + tier.changed
        profile ada                                              -> tier base, tier_since 2026-01-10T14:00:00Z
        upsert external_id=ada clear=tier_id                     -> unchanged
        # The same tier, but by hand from now on: no other tier, and so no such event.
        upsert external_id=ada tier=base                         -> updated, events customer.updated
        profile ada                                              -> tier base by hand, tier_since 2026-01-10T14:00:00Z
        upsert external_id=ada tier=none                         -> unknown_tier, detail tier=none
        upsert external_id=bo tier=vip as=bo                     -> created, tier Vip, events customer.created
        upsert external_id=bo on_match=fill_missing tier=base    -> unchanged, tier Vip
    ";

    /// What is unknown comes before an identity conflict, and that before the rest.
    an_unknown_tier_or_card_comes_before_who_is_meant: "
        settings
        upsert external_id=ada                                   -> created
        upsert external_id=bo email=bo@example.com               -> created
        upsert external_id=ada email=bo@example.com tier=no      -> unknown_tier
        upsert external_id=ada email=bo@example.com card=no      -> unknown_card, detail card=no
        upsert external_id=ada email=bo@example.com              -> identity_conflict
        upsert external_id=ada mode=create card=no               -> unknown_card
    ";

    a_card_welcomes_once: "
        settings apple=https://a.example/{code} google=https://g.example/{card_id}?c={code}&u={customer_id}
        card coffee name=Coffee required=10 initial=2 rewards=cookie:2+cup:10 -> created
        upsert external_id=ada card=coffee send_links=true as=ada key=join -> created, v1, cards coffee 2/10, wrote stamp 2, available 2, events customer.created + card.enrolled + stamps.added + card.reward_reached
        profile ada                                              -> cards coffee
        account ada coffee                                       -> available 2, earned 2, entries 1
        lots ada coffee                                          -> join 2 for ever
        upsert external_id=ada card=coffee key=join send_links=true -> created, again join, cards none, wrote stamp 2
        upsert external_id=ada card=coffee                       -> unchanged, cards coffee 2/10, wrote none
        card tea required=5
        upsert external_id=ada card=tea                          -> updated, v2, cards coffee 2/10 + tea 0/5, wrote none, events customer.updated + card.enrolled
        # An existing customer is welcomed, too.
        upsert external_id=bo as=bo                              -> created, cards none
        upsert external_id=bo mode=update card=coffee            -> updated, cards coffee 2/10, wrote stamp 2, links https://a.example/(bo/1) + https://g.example/coffee?c=(bo/1)&u=(bo)
        # Another welcome is for those who come later.
        card coffee name=Coffee required=10 initial=3            -> updated
        upsert external_id=cy card=coffee as=cy                  -> created, cards coffee 3/10
        upsert external_id=ada card=coffee                       -> unchanged, cards coffee 2/10 + tea 0/5
        # A card's stamps come by the card only.
        credit ada coffee 5                                      -> unknown_unit
        redeem ada coffee 1                                      -> unknown_unit
    ";

    an_archived_card_enrols_nobody: "
        settings
        card coffee
        upsert external_id=ada card=coffee as=ada                -> created
        card coffee status=archived                              -> updated
        upsert external_id=bo card=coffee                        -> card_archived, detail card=coffee
        upsert external_id=ada card=coffee first=Ada             -> updated, cards coffee 0/10
        upsert external_id=ada source_version=5                  -> updated
        upsert external_id=bo                                    -> created
        # Stale comes first.
        upsert external_id=bo source_version=2                   -> updated
        upsert external_id=bo card=coffee source_version=1       -> stale
        upsert external_id=bo card=coffee source_version=3       -> card_archived
        # Nobody is made by a command that is refused.
        upsert external_id=cy card=coffee                        -> card_archived, customer nobody
        upsert external_id=cy                                    -> created
    ";

    a_code_leads_to_its_customer: "
        unit points
        card coffee initial=1
        card tea
        upsert external_id=ada card=coffee as=ada
        upsert external_id=ada card=tea
        credit card:ada/1 points 5                               -> applied, customer ada
        credit card:ada/2 points 5                               -> applied, customer ada, available 10
        credit card:ada/3 points 5                               -> unknown_customer
        upsert ref=card:ada/2 first=Ada                          -> updated, customer ada
        redeem card:CODE points 5                                -> invalid_fields, fields envelope.customer.value
        # Only within its merchant.
        unit points merchant=other
        credit card:ada/1 points 5 merchant=other                -> unknown_customer
        # It waits for nobody: a code that leads to nobody will never lead to anybody.
        settings unknown=park
        credit card:ada/3 points 5                               -> unknown_customer
    ";

    a_referral_is_remembered_of_new_customers: "
        settings
        card coffee
        upsert external_id=ada card=coffee as=ada
        upsert external_id=bo referral=ada as=bo                 -> created
        upsert external_id=cy referral=ada/1 as=cy               -> created
        profile bo                                               -> referrer ada
        profile cy                                               -> referrer ada
        upsert external_id=bo referral=cy                        -> unchanged
        profile bo                                               -> referrer ada
        upsert external_id=di referral=ada/2                     -> unknown_customer, detail field=command.referral_code, customer nobody
        upsert external_id=di referral=01971e5c-0000-8000-8000-000000000000 -> unknown_customer
        upsert external_id=di referral=hello                     -> invalid_fields, fields command.referral_code
        settings merchant=other
        upsert external_id=di referral=ada merchant=other        -> unknown_customer
    ";

    cards_and_units_share_their_names: "
        unit points
        card points                                              -> in_use
        card stamps                                              -> created
        unit stamps                                              -> in_use
        card stamps required=19                                  -> invalid_fields, fields command.stamps_required
        card stamps required=5 initial=6                         -> invalid_fields, fields command.initial_stamps
        card stamps required=5 rewards=a:6                       -> invalid_fields, fields command.rewards[0].stamps
        card stamps required=5 rewards=a:4+b:3                   -> invalid_fields, fields command.rewards[1].stamps
        card stamps required=5 rewards=a:4+a:4                   -> invalid_fields, fields command.rewards[1].reward_id
        card stamps name=*65                                     -> invalid_fields, fields command.name
        settings apple=https://a.example/                        -> invalid_fields, fields command.wallet_url_apple
        settings apple=ftp://a.example/{code}                    -> invalid_fields, fields command.wallet_url_apple
        settings apple=https://a.example/{code}/{code}           -> invalid_fields, fields command.wallet_url_apple
        settings google=https://a.example/{code}/{else}          -> invalid_fields, fields command.wallet_url_google
        settings apple=https://a.example/{code}                  -> created
        settings clear=wallet_url_apple                          -> updated
    ";

    objects_are_scheduled_as_units_are: "
        settings
        card coffee initial=1
        card coffee initial=5 from=+1d                           -> updated, config 2
        upsert external_id=ada card=coffee as=ada                -> cards coffee 1/10
        # A change of today makes what is scheduled anew.
        card coffee initial=2                                    -> updated, config 4, events config.changed + config.changed
        upsert external_id=bo card=coffee                        -> cards coffee 2/10
        after 2d
        upsert external_id=cy card=coffee                        -> cards coffee 5/10
    ";
}
