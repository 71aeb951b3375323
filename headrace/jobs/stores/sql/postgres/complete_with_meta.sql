-- A caller of another OS process may await the result.
with ended as (update oban_jobs set state = 'completed', completed_at = $1, meta = headrace_merge(meta, $2::jsonb)
where id = $3 and attempt = $4 and state is not distinct from 'executing' and attempted_by = $5::text[]
returning id)
select pg_notify(current_schema() || '.headrace_ended', '') from ended
