-- A topic that only another version of the worker knows keeps its position. Checks epoch and batch once more, though the row has been locked since the transaction began: this is the one row whose update must
-- never be wrong, and the check costs nothing.
update lane
set batch = $4, lane_time = $5, due_pending = $6, positions = positions || $7
where lane = $1 and epoch = $2 and batch = $3
