insert into identity (
    merchant_id, kind, value, customer_id)
select * from unnest($1::identity_row[])
