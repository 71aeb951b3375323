with changed as (
  update oban_jobs set state = 'suspended', max_attempts = greatest(max_attempts, attempt + 1),
    completed_at = null, cancelled_at = null, discarded_at = null, meta = headrace_object(meta) - 'crashes'
  where id = any($1::bigint[]) and state::text not in ('suspended', 'executing')
    and ($2::text[] is null or state = any($2::text[]::oban_job_state[]))
  returning id, queue, state::text
)
select id, queue, state from changed order by id
