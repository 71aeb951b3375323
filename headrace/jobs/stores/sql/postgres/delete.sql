with deleted as (
  delete from oban_jobs
  where id = any($1::bigint[]) and state::text <> 'executing'
    and ($2::text[] is null or state = any($2::text[]::oban_job_state[]))
  returning id, queue, state::text
)
select id, queue, state from deleted order by id
