-- Ours: the members of workflows, batches and chains. A job of none, with an empty meta, costs one comparison. Steps of
-- workflows have names, by which the steps after them find their results.
create index if not exists headrace_jobs_workflow
  on oban_jobs (
    iif(json_valid(meta), json_extract(meta, '$.workflow_id'), null),
    state,
    iif(json_valid(meta), json_extract(meta, '$.name'), null)
  )
  where meta <> '{}' and iif(json_valid(meta), json_extract(meta, '$.workflow_id'), null) is not null;
create index if not exists headrace_jobs_batch
  on oban_jobs (iif(json_valid(meta), json_extract(meta, '$.batch_id'), null), state)
  where meta <> '{}' and iif(json_valid(meta), json_extract(meta, '$.batch_id'), null) is not null;
create index if not exists headrace_jobs_chain
  on oban_jobs (iif(json_valid(meta), json_extract(meta, '$.chain_id'), null), state)
  where meta <> '{}' and iif(json_valid(meta), json_extract(meta, '$.chain_id'), null) is not null;
