update oban_jobs
set state = 'suspended', max_attempts = max(max_attempts, attempt + 1),
  completed_at = null, cancelled_at = null, discarded_at = null, meta = json_remove(headrace_object(meta), '$.crashes')
where id in (select value from json_each(:ids)) and state not in ('suspended', 'executing')
  and (:states is null or state in (select value from json_each(:states)))
returning id, queue, state
