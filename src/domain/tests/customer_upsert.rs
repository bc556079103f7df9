use super::ledgers;

ledgers! {
    creates_updates_or_leaves_as_it_is: "
        settings
        upsert external_id=ada first=Ada notify_email=true as=ada -> created, customer ada, v1, config 1, wrote none, events customer.created
        profile ada                            -> v1, active, external_id ada, first Ada, last none, phone none, email none, birth none, notify email=true phone=false
        upsert external_id=ada last=Lovelace   -> updated, customer ada, v2, events customer.updated
        upsert external_id=ada last=Lovelace   -> unchanged, customer ada, v2, events none
        upsert external_id=ada                 -> unchanged, v2
        upsert external_id=ada notify_email=false notify_phone=true birth=1815-12-10 -> invalid_fields, fields command.birth_date
        upsert external_id=ada notify_email=false notify_phone=true birth=1915-12-10 -> updated, v3
        profile ada                            -> v3, first Ada, last Lovelace, birth 1915-12-10, notify email=false phone=true
        history ada                            -> 1 customer.created + 2 customer.updated + 3 customer.updated
    ";

    identifiers_are_compared_in_one_form: "
        settings
        upsert \"phone=+49 (151) 123-4567\" \"email= ADA@Example.COM \" as=ada -> created
        profile ada                     -> phone +491511234567, email ada@example.com
        upsert phone=+491511234567      -> unchanged, customer ada
        upsert email=Ada@example.com    -> unchanged, customer ada
        upsert external_id=Ada as=upper -> created
        upsert external_id=ada as=lower -> created
        upsert \"external_id= ada\"      -> unchanged, customer lower
        upsert external_id=Cafe\u{301} as=cafe -> created
        upsert external_id=Caf\u{e9}        -> unchanged, customer cafe
        upsert external_id=web\u{2060}1     -> invalid_fields, fields command.external_id
        upsert \"phone=+49 (0) 209 223344\" -> invalid_fields, fields command.phone
        upsert email=<ada@example.com>     -> invalid_fields, fields command.email
    ";

    an_identifier_that_is_matched_by_first_is_replaced_by_a_reference_only: "
        settings
        upsert external_id=web-1 email=kim@example.com as=kim      -> created
        upsert external_id=pos-7 email=kim@example.com             -> identity_conflict, customer nobody, detail field=external_id
        upsert external_id=web-1 email=kim@example.com             -> unchanged, customer kim
        upsert email=kim@example.com first=Kim                -> updated, customer kim
        upsert ref=web-1 external_id=pos-7 email=kim@example.com   -> updated, customer kim
        profile kim                                                -> external_id pos-7
    ";

    the_first_match_in_the_merchants_order_is_meant: "
        settings match_by=phone+email
        upsert phone=+491511234567 as=ada                      -> created
        upsert email=bob@example.com as=bob                    -> created
        upsert phone=+491511234567 external_id=ada             -> updated, customer ada
        upsert email=bob@example.com external_id=bob           -> updated, customer bob
        # It would have to be a merge.
        upsert phone=+491511234567 email=bob@example.com       -> identity_conflict, customer nobody, detail field=email
        upsert phone=+491511234567 external_id=bob             -> identity_conflict, detail field=external_id
        # An identifier that is not matched by is still unique.
        upsert external_id=ada email=new@example.com           -> identity_conflict, detail field=external_id
        # Nobody could be found by it again.
        upsert external_id=new                                 -> invalid_fields, fields command
        settings match_by=external_id+email+phone              -> updated, config 2
        upsert external_id=ada                                 -> unchanged, customer ada, config 2
        upsert external_id=ada email=new@example.com           -> updated, customer ada
        upsert external_id=new phone=+491511234567             -> identity_conflict, customer nobody, detail field=external_id
        upsert ref=ada external_id=new phone=+491511234567     -> updated, customer ada
        profile ada                                            -> v4, external_id new, email new@example.com
        holder external_id:ada                                 -> nobody
    ";

    a_reference_says_who_is_meant: "
        settings
        upsert external_id=ada as=ada                              -> created
        upsert external_id=bob phone=+491511234567 as=bob          -> created
        upsert ref=ada external_id=ada2                            -> updated, customer ada
        upsert ref=ada external_id=ada3                            -> unknown_customer, customer nobody
        upsert ref=id:ada external_id=ada                          -> updated, customer ada
        upsert ref=id:ada phone=+491511234567                      -> identity_conflict, customer ada, v3
        upsert ref=phone:+491511234567 first=Bob                   -> updated, customer bob
        upsert ref=phone:0151 first=Bob                            -> invalid_fields, fields envelope.customer.value
        upsert ref=id:nonsense first=Bob                           -> invalid_fields, fields envelope.customer.value
        upsert ref=nobody-has-it external_id=bob                   -> identity_conflict, customer nobody
    ";

    a_freed_identifier_may_be_used_anew: "
        settings
        upsert external_id=ada phone=+491511111111 as=ada   -> created
        upsert external_id=bob phone=+491522222222 as=bob   -> created
        upsert external_id=bob phone=+491511111111          -> identity_conflict
        upsert external_id=ada phone=+491533333333          -> updated, customer ada, v2
        upsert external_id=bob phone=+491511111111          -> updated, customer bob, v2
        upsert phone=+491522222222 as=eve                   -> created
        upsert phone=+491511111111 first=Bob                -> updated, customer bob, v3
        holder phone:+491511111111                          -> bob
        holder phone:+491522222222                          -> eve
        holder phone:+491533333333                          -> ada
    ";

    an_identifier_is_free_as_soon_as_its_holder_has_another: "
        settings
        upsert external_id=ada phone=+491511111111 as=ada   -> created
        holder phone:+491511111111                          -> ada
        upsert external_id=ada phone=+491522222222          -> updated
        holder phone:+491511111111                          -> nobody
        holder phone:+491522222222                          -> ada
        upsert phone=+491511111111 as=bob                   -> created
        credit phone:+491511111111 points 1                 -> unknown_unit
        upsert external_id=ada phone=+491511111111          -> identity_conflict
    ";

    an_identifier_goes_and_comes_back: "
        settings
        upsert external_id=ada email=a@example.com as=ada   -> created
        holder email:a@example.com                          -> ada
        upsert external_id=ada email=b@example.com          -> updated
        upsert external_id=ada email=a@example.com          -> updated, v3
        holder email:a@example.com                          -> ada
        holder email:b@example.com                          -> nobody
        profile ada                                         -> v3, email a@example.com
    ";

    active_and_inactive: "
        settings
        upsert external_id=ada active=false as=ada        -> created, events customer.created
        profile ada                                       -> inactive
        upsert external_id=ada active=false               -> unchanged
        upsert external_id=ada first=Ada                  -> updated, v2
        upsert external_id=ada active=true                -> updated, v3, events customer.updated + customer.activated
        upsert external_id=ada active=true                -> unchanged, v3
        upsert external_id=ada active=false last=Lovelace -> updated, v4, events customer.updated + customer.deactivated
        profile ada                                       -> v4, inactive
        history ada -> 1 customer.created + 2 customer.updated + 3 customer.updated + 3 customer.activated + 4 customer.updated + 4 customer.deactivated
    ";

    every_bad_field_is_named_at_once: "
        settings
        upsert                           -> invalid_fields, fields command
        upsert first=Ada                 -> invalid_fields, fields command
        upsert external_id=\"\" phone=0151 email=ada@ first=\" \" last=*256 birth=2026-02-30 -> invalid_fields, fields command.external_id + command.phone + command.email + command.first_name + command.last_name + command.birth_date
        upsert external_id=*256          -> invalid_fields, fields command.external_id
        upsert external_id=*255 first=*255 last=*255 -> created
        malformed customer-upsert        -> invalid_fields, fields command
    ";

    a_birth_date_is_from_1900_to_today_wherever_that_is: "
        settings
        at     2026-01-10T12:00Z
        upsert external_id=a birth=1899-12-31 -> invalid_fields
        upsert external_id=a birth=1900-01-01 -> created
        upsert external_id=b birth=2026-01-11 -> created
        upsert external_id=c birth=2026-01-12 -> invalid_fields
        upsert external_id=c birth=1990-02-28T23:30:00-08:00 as=c -> created
        profile c -> birth 1990-02-28
    ";

    unknown_merchants_are_told_to_configure: "
        upsert external_id=ada key=k1          -> unknown_merchant, config none, customer nobody
        credit ada points 1 key=k2             -> unknown_merchant
        redeem ada points 1 key=k3             -> unknown_merchant
        malformed credit key=k4                -> unknown_merchant
        # Nothing was remembered: a merchant that comes later finds the keys free.
        settings
        unit   points
        upsert external_id=ada key=k1          -> created
        credit ada points 1 key=k2             -> applied
        redeem ada points 1 key=k3             -> applied
        malformed credit key=k4                -> invalid_fields
    ";
}
