-- Oban's claim, with exhausted jobs left out inside: at the head of a queue they would fill every claim.
with picked as materialized (
  select id from oban_jobs
  where state = 'available' and queue = $1 and attempt < max_attempts
  order by priority, scheduled_at, id
  limit $2
  for update skip locked
)
update oban_jobs as j
set state = 'executing', attempt = j.attempt + 1, attempted_at = $3, attempted_by = $4::text[]
from picked
where j.id = picked.id
returning
  j.id, j.state, j.queue, j.worker, j.args, j.meta, j.tags, j.errors, j.attempt, j.max_attempts, j.priority,
  j.inserted_at, j.scheduled_at, j.attempted_at, j.attempted_by, j.cancelled_at, j.completed_at, j.discarded_at
