update oban_jobs
set state = 'discarded', discarded_at = ?2,
  meta = json_set(headrace_object(meta), '$.crashes', coalesce(json_extract(headrace_object(meta), '$.crashes'), 0) + 1),
  errors = json_insert(
    headrace_list(errors), '$[#]', json_object('attempt', attempt, 'at', ?2, 'error', ?4)
  )
where state = 'executing' and iif(json_valid(attempted_by), json_extract(attempted_by, '$[1]'), null) = ?1
  and coalesce(json_extract(headrace_object(meta), '$.crashes'), 0) + 1 >= ?3
returning id, queue, state
