insert into identity (identity_key, customer_id)
select * from unnest($1::identity_row[])
