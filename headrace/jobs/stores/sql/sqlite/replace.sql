-- A null leaves the column as it is.
update oban_jobs
set args = coalesce(:args, args), max_attempts = coalesce(:max_attempts, max_attempts), meta = coalesce(:meta, meta),
  priority = coalesce(:priority, priority), queue = coalesce(:queue, queue),
  scheduled_at = coalesce(:scheduled_at, scheduled_at), tags = coalesce(:tags, tags), worker = coalesce(:worker, worker)
where id = :id
