select topic, "offset" from skipped_record where "partition" = $1 order by topic, "offset"
