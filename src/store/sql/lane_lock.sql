-- The fence on this side: first in every transaction, so that a writer that is not the owner any more waits for the owner's commit and
-- then sees another epoch or batch. No condition on them here: the caller says what it found instead.
select epoch, batch, owner from lane where lane = $1 for update
