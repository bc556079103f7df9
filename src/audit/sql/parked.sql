-- What waits for its customer, and whether somebody is there who has the identifier: then it should have been decided.
select lane, content -> 'position' ->> 'topic', (content -> 'position' ->> 'partition')::int, (content -> 'position' ->> 'offset')::bigint, merchant_id,
       exists (select from customer where external_key = awaited_key)
       or exists (select from customer where phone_key = awaited_key)
       or exists (select from customer where email_key = awaited_key) as is_met
from parked;
