-- Per merchant from the front of its index, and no further than the limit: a database holds several lanes, so that the due customers
-- of all merchants have no common order that could be scanned. Then the first of all of them.
select d.customer_id
from unnest($1::text[]) as m (merchant_id)
cross join lateral (
    select c.next_due, c.customer_id
    from customer c
    where c.merchant_id = m.merchant_id and c.next_due <= $2
    order by c.next_due, c.customer_id
    limit $3
) as d
order by d.next_due, d.customer_id
limit $3
