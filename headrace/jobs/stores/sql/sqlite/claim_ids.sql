update oban_jobs
set state = 'executing', attempt = attempt + 1, attempted_at = ?, attempted_by = ?
where id in (select value from json_each(?))
returning
  id, state, queue, worker, args, meta, tags, errors, attempt, max_attempts, priority,
  inserted_at, scheduled_at, attempted_at, attempted_by, cancelled_at, completed_at, discarded_at
