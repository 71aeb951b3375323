-- Ended members of a workflow or a batch are needed until all have ended; keep_seconds is for recorded results.
with prunable as not materialized (
  select id, state, scheduled_at, completed_at, cancelled_at, discarded_at,
    case when jsonb_typeof(meta -> 'keep_seconds') = 'number'
      then coalesce(completed_at + make_interval(secs => least((meta ->> 'keep_seconds')::float8, 1e10)), '-infinity')
      else '-infinity' end as kept_until
  from oban_jobs as job
  where not exists (
    select 1 from oban_jobs as mate
    where mate.meta ->> 'workflow_id' = job.meta ->> 'workflow_id'
      and mate.state in ('available', 'suspended', 'scheduled', 'executing', 'retryable')
  ) and not exists (
    select 1 from oban_jobs as mate
    where mate.meta ->> 'batch_id' = job.meta ->> 'batch_id'
      and mate.state in ('available', 'suspended', 'scheduled', 'executing', 'retryable')
  )
)
