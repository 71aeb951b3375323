select
  id, state, queue, worker, args, meta, tags, errors, attempt, max_attempts, priority,
  inserted_at, scheduled_at, attempted_at, attempted_by, cancelled_at, completed_at, discarded_at
from oban_jobs
where state = 'available' and queue = ? and attempt < max_attempts
  and worker in (select value from json_each(?))
order by priority, scheduled_at, id
limit ?
