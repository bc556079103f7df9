select topic, "partition", "offset", replayed_at, times, new_partition, new_offset from replayed_record order by 1, 2, 3
