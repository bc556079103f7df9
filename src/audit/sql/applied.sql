-- After the topics were read: what is published by then was applied before.
select lane, batch from lane;
