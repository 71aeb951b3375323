with changed as (
  update oban_jobs set state = 'discarded', discarded_at = $2, errors = errors || headrace_error(attempt, $2, $3)
  where id = any($1::bigint[]) and state is not distinct from 'available' and attempt >= max_attempts
  returning id
)
select id from changed order by id
