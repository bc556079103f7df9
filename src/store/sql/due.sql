-- Per merchant from the front of its index, and no further than the limit: a database holds several lanes, so that the due accounts
-- of all merchants have no common order that could be scanned. Then the first of all of them.
select d.customer_id, d.unit_id
from unnest($1::text[]) as m (merchant_id)
cross join lateral (
    select a.next_due, a.customer_id, a.unit_id
    from account a
    where a.merchant_id = m.merchant_id and a.next_due <= $2
    order by a.next_due, a.customer_id, a.unit_id
    limit $3
) as d
order by d.next_due, d.customer_id, d.unit_id
limit $3
