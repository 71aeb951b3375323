with changed as (
  update oban_jobs set state = (case when scheduled_at > $3 then 'scheduled' else 'available' end)::oban_job_state
  where id = any($1::bigint[]) and state::text = 'suspended'
    and ($2::text[] is null or state = any($2::text[]::oban_job_state[]))
  returning id, queue, state::text
)
select id, queue, state from changed order by id
