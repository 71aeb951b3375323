update oban_jobs
set state = 'scheduled', scheduled_at = ?, attempt = attempt - 1,
  meta = json_set(headrace_merge(meta, ?), '$.snoozed', coalesce(json_extract(headrace_object(meta), '$.snoozed'), 0) + 1)
where id = ? and attempt = ? and state = 'executing' and attempted_by = ?
