-- No locks show which owners live, so there is nothing to forget.
update headrace_producers set lock_file = null where uuid = $1 and lock_file is not null
