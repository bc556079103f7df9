-- What was issued and what became of it, per merchant and unit, beside what the accounts and the lots say. One statement, so one moment.
with ledger as (
    select c.merchant_id, e.unit_id, count(*) as entries,
           coalesce(sum(e.amount) filter (where e.kind in (1, 4)), 0) as earned,
           coalesce(sum(e.amount) filter (where e.kind = 2), 0) as redeemed,
           coalesce(sum(e.amount) filter (where e.kind = 3), 0) as expired
    from entry e
    join customer c on c.customer_id = e.customer_id
    where $1::text is null or c.merchant_id = $1
    group by c.merchant_id, e.unit_id
), held as (
    select merchant_id, unit_id, count(*) as customers, sum(available + pending + held - debt) as balance, sum(debt) as debt
    from account
    where $1::text is null or merchant_id = $1
    group by merchant_id, unit_id
), lots as (
    select merchant_id, unit_id, sum(remaining) as remaining
    from lot
    where $1::text is null or merchant_id = $1
    group by merchant_id, unit_id
)
select merchant_id, unit_id, coalesce(customers, 0), coalesce(entries, 0), coalesce(earned, 0)::text, coalesce(redeemed, 0)::text,
       coalesce(expired, 0)::text, coalesce(balance, 0)::text, coalesce(remaining, 0)::text,
       coalesce(earned, 0) - coalesce(redeemed, 0) - coalesce(expired, 0) = coalesce(balance, 0)
           and coalesce(balance, 0) + coalesce(debt, 0) = coalesce(remaining, 0)
from ledger
full join held using (merchant_id, unit_id)
full join lots using (merchant_id, unit_id)
order by merchant_id, unit_id
