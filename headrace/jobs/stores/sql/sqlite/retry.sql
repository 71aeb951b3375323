update oban_jobs
set state = 'available', scheduled_at = ?3, max_attempts = max(max_attempts, attempt + 1),
  completed_at = null, cancelled_at = null, discarded_at = null, meta = json_remove(headrace_object(meta), '$.crashes')
where id in (select value from json_each(?1)) and +state not in ('available', 'executing')
  and (?2 is null or state in (select value from json_each(?2)))
returning id, queue, state
