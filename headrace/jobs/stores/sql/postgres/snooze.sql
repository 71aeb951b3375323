update oban_jobs
set state = 'scheduled', scheduled_at = $1, attempt = attempt - 1,
  meta = jsonb_set(
    headrace_merge(meta, $2::jsonb), '{snoozed}',
    to_jsonb(headrace_counter(headrace_merge(meta, $2::jsonb), 'snoozed') + 1)
  )
where id = $3 and attempt = $4 and state is not distinct from 'executing' and attempted_by = $5::text[]
