-- A null leaves the column as it is.
update oban_jobs
set args = coalesce(?4, args), max_attempts = coalesce(?7, max_attempts), meta = coalesce(?5, meta),
  priority = coalesce(?8, priority), queue = coalesce(?2, queue),
  scheduled_at = coalesce(?10, scheduled_at), tags = coalesce(?6, tags), worker = coalesce(?3, worker)
where id = ?11
