-- Its transaction holds the lock of the chain, so that two OS processes never release two members.
with changed as (
  update oban_jobs set state = (case when scheduled_at > $2 then 'scheduled' else 'available' end)::oban_job_state
  where id = (
    select min(id) from oban_jobs where meta ->> 'chain_id' = $1 and state = 'suspended'
  ) and not exists (
    select 1 from oban_jobs
    where meta ->> 'chain_id' = $1 and state in ('available', 'scheduled', 'executing', 'retryable')
  )
  returning id, queue, state::text
)
select id, queue, state from changed
