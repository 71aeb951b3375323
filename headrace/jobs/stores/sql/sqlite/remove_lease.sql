-- The leadership of an OS process that is known to be dead.
delete from headrace_leaders where node = (select node from headrace_producers where uuid = ?1)
  and not exists (
    select 1 from headrace_producers as other
    where other.node = headrace_leaders.node and other.uuid <> ?1 and other.lock_file is not null
  )
