with changed as (
  update oban_jobs set state = 'available', scheduled_at = $3
  where id = any($1::bigint[]) and state::text in ('scheduled', 'retryable')
    and ($2::text[] is null or state = any($2::text[]::oban_job_state[]))
  returning id, queue, state::text
)
select id, queue, state from changed order by id
