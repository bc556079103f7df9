select topic, "offset", reason from skipped_record where "partition" = $1 order by topic, "offset"
