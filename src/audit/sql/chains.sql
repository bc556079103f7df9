-- All entries of these customers' accounts, each account's from its last to its first. `union` ends a chain that leads back into itself, too.
with recursive chain (transaction_id) as (
    select last_entry from account where customer_id = any($1::uuid[]) and last_entry is not null
    union
    select e.previous from chain join entry e using (transaction_id) where e.previous is not null
)
select transaction_id from chain;
