-- `lanes resize`. A decision names the partition of its command, which says whose lane that was only among so many.
alter table lane
    add column grown_from int;  -- how many lanes there were at first; null where there was never another number
