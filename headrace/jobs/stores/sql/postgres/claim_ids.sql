with picked as materialized (
  select id from oban_jobs where id = any($3::bigint[]) and state is not distinct from 'available'
  order by id
  for update skip locked
)
update oban_jobs as j
set state = 'executing', attempt = j.attempt + 1, attempted_at = $1, attempted_by = $2::text[]
from picked
where j.id = picked.id
returning
  j.id, j.state, j.queue, j.worker, j.args, j.meta, j.tags, j.errors, j.attempt, j.max_attempts, j.priority,
  j.inserted_at, j.scheduled_at, j.attempted_at, j.attempted_by, j.cancelled_at, j.completed_at, j.discarded_at
