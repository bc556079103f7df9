update replayed_record set new_partition = $4, new_offset = $5 where topic = $1 and "partition" = $2 and "offset" = $3
