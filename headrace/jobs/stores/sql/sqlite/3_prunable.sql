-- Ours: jobs that may be pruned. Ended members of a workflow or a batch are needed until all have ended; `kept_until`, a
-- Julian day, is for jobs whose meta has keep_seconds.
create view if not exists headrace_prunable as
select id, state, scheduled_at, completed_at, cancelled_at, discarded_at,
  iif(meta <> '{}' and json_valid(meta), coalesce(julianday(completed_at) + json_extract(meta, '$.keep_seconds') / 86400.0, 0), 0)
    as kept_until
from oban_jobs as job
where meta = '{}' or not exists (
  select 1 from oban_jobs as mate
  where mate.meta <> '{}'
    and iif(json_valid(mate.meta), json_extract(mate.meta, '$.workflow_id'), null)
      = iif(json_valid(job.meta), json_extract(job.meta, '$.workflow_id'), null)
    and mate.state in ('available', 'suspended', 'scheduled', 'executing', 'retryable')
) and not exists (
  select 1 from oban_jobs as mate
  where mate.meta <> '{}'
    and iif(json_valid(mate.meta), json_extract(mate.meta, '$.batch_id'), null)
      = iif(json_valid(job.meta), json_extract(job.meta, '$.batch_id'), null)
    and mate.state in ('available', 'suspended', 'scheduled', 'executing', 'retryable')
);
