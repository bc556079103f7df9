-- The fences: how far each lane has come. First in the snapshot, because all else is judged by them.
select lane, lanes, grown_from, batch, lane_time, positions from lane order by lane;
