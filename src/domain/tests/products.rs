//! What each of the five products documents for creating a customer: its request as a command under its preset, its behaviour on a match, and its
//! errors as rejections.

use super::ledgers;

ledgers! {
    rewrd: "
        settings preset=rewrd
        upsert key=customer-create-20260203-001 email=jane@example.com phone=+2348012345678 first=Jane last=Doe birth=1995-06-15T00:00:00.000Z as=jane -> created, customer jane
        profile jane -> active, email jane@example.com, phone +2348012345678, first Jane, last Doe, birth 1995-06-15
        # The same key again: the first answer.
        upsert key=customer-create-20260203-001 email=jane@example.com phone=+2348012345678 first=Jane last=Doe birth=1995-06-15T00:00:00.000Z -> created, again customer-create-20260203-001
        # Matched by phone; only what is not null is overwritten.
        upsert phone=+2348012345678 last=Roe                    -> updated, customer jane
        profile jane                                            -> email jane@example.com, last Roe
        upsert email=jane@example.com first=Jane                -> invalid_fields, fields command
        upsert key=has/slash phone=+2348012345678               -> invalid_idempotency_key
        upsert ref=id:jane mode=update phone=+2348012345679     -> updated, customer jane
        upsert ref=id:jane mode=update active=false             -> updated
        upsert ref=id:jane mode=update first=Janet              -> customer_not_active
        upsert ref=id:01971e5c-0000-8000-8000-000000000000 mode=update first=Janet -> unknown_customer
    ";

    add_update: "
        settings preset=add_update
        upsert external_id=CUST-123 first=John last=Doe email=john@example.com phone=+1234567890 active=true notify_email=false notify_phone=false as=john -> created, customer john
        profile john -> active, external_id CUST-123, first John, last Doe, email john@example.com, phone +1234567890, notify email=false phone=false
        upsert external_id=CUST-123 first=Johnny active=false   -> updated, customer john
        profile john                                            -> inactive, first Johnny, last Doe
        # externalId and firstName are required.
        upsert first=John                                       -> invalid_fields, fields command
        upsert external_id=CUST-124                             -> invalid_fields, fields command.first_name
        upsert external_id=CUST-124 first=Jane email=jane       -> invalid_fields, fields command.email
        upsert external_id=CUST-124 first=Jane active=false as=jane -> created
        profile jane                                            -> inactive
    ";

    restai: "
        settings preset=restai
        upsert \"name=María García\" email=maria@example.com phone=+51987654321 birth=1990-05-15 as=maria -> created, customer maria
        profile maria -> name María García, email maria@example.com, phone +51987654321, birth 1990-05-15, active
        # A phone that is known finds the customer, and fills only what is missing.
        upsert \"name=Mary Garcia\" phone=+51987654321 birth=1991-01-01 -> unchanged, customer maria
        upsert name=Bo phone=5551234 as=bo                      -> created, customer bo
        upsert name=Bob phone=5551234 email=bo@example.com      -> updated, customer bo
        profile bo                                              -> name Bo, email bo@example.com
        # Without a phone there is no search: always somebody new.
        upsert name=Bo as=other                                 -> created, customer other
        upsert phone=5559999                                    -> invalid_fields, fields command.name
        upsert name=*256 phone=5559999                          -> invalid_fields, fields command.name
        upsert name=Al phone=123456789012345678901              -> invalid_fields, fields command.phone
        upsert name=Al phone=5559999 email=maria@example.com    -> identity_conflict
    ";

    masivo: "
        settings preset=masivo
        upsert external_id=c-1 active=true \"name=John Smith\" email=jsmith@example.com gender=male birth=2023-11-07T05:31:56Z registered=2023-11-07T05:31:56Z as=john -> created, customer john
        profile john -> active, external_id c-1, name John Smith, email jsmith@example.com, gender male, birth 2023-11-07, registered 2023-11-07, metrics none, metadata none
        upsert external_id=c-2                                  -> invalid_fields, fields command.name + command.email + command.registered_on
        upsert name=Al email=al@example.com registered=2023-11-07 -> invalid_fields, fields command
        upsert external_id=c-1 active=false metrics=visits:1276/1 metadata=vip:yes -> updated, customer john
        profile john                                            -> inactive, metrics visits:1276/1, metadata vip:yes
    ";

    stamp_cards: "
        settings preset=stamp_cards
        upsert first=Ann email=ann@example.com birth=1990-01-31 as=ann -> created, customer ann
        profile ann                                             -> first Ann, email ann@example.com, birth 1990-01-31
        upsert first=Bob phone=+15551234567 as=bob              -> created
        # 422: a name, and one of e-mail and phone, each unique within the store.
        upsert email=new@example.com                            -> invalid_fields, fields command.first_name
        upsert first=New                                        -> invalid_fields, fields command
        upsert first=Ann email=ann@example.com                  -> customer_exists, customer ann
        upsert first=Ann email=new@example.com phone=+15551234567 -> customer_exists, customer bob
        # Update by id: 404 if nobody has it, all fields optional.
        upsert ref=id:ann mode=update last=Lee                  -> updated, customer ann
        upsert ref=id:ann mode=update phone=+15551234567        -> identity_conflict
        upsert ref=id:01971e5c-0000-8000-8000-000000000000 mode=update last=Lee -> unknown_customer
    ";

    a_preset_leaves_nothing_of_another: "
        settings preset=restai
        settings preset=none name=Acme                          -> updated, config 2
        upsert phone=5551234 name=Al                            -> invalid_fields, fields command.phone
        upsert external_id=al as=al                             -> created
        # What stands beside a preset counts.
        settings preset=stamp_cards on_match=update required=   -> updated
        upsert email=al@example.com as=other                    -> created
        upsert email=al@example.com last=Lee                    -> updated
        settings preset=stamp_cards on_match=update required=   -> unchanged
    ";
}
