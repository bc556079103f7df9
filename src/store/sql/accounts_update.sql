-- Nearly every command. Each row is updated where this transaction found it (see customers.sql). A row that is not there any more, which
-- only a second writer could do, is missed, and the count tells.
update customer c
set version = n.version, updated_at = n.updated_at, next_due = n.next_due, unit_ids = n.unit_ids, accounts = n.accounts,
    lots = n.lots
from unnest($1::customer_accounts_row[]) as n
where c.ctid = n.row_at and c.customer_id = n.customer_id
