-- `errors` is jsonb[] in Elixir's table and jsonb in Python's: || appends to both.
with ended as (update oban_jobs
set state = $1::oban_job_state, scheduled_at = coalesce($2, scheduled_at), cancelled_at = coalesce(cancelled_at, $3),
  discarded_at = $4, errors = errors || $5::jsonb, meta = headrace_merge(meta, $6::jsonb)
where state::text in ('executing', $7) and id = $8 and attempt = $9 and attempted_by = $10::text[]
returning id)
select pg_notify(current_schema() || '.headrace_ended', '') from ended
