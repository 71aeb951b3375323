-- Never for the age of a job.
update oban_jobs
set state = 'available', attempt = max(attempt - 1, 0),
  meta = iif(
    ?2,
    json_set(headrace_object(meta), '$.crashes', coalesce(json_extract(headrace_object(meta), '$.crashes'), 0) + 1),
    meta
  )
where state = 'executing' and iif(json_valid(attempted_by), json_extract(attempted_by, '$[1]'), null) = ?1
returning id, queue, state
