-- Not for its age, and not if its producer has said anything since it was last looked at.
update oban_jobs
set state = 'available', attempt = max(attempt - 1, 0),
  meta = iif(
    :is_crash, json_set(coalesce(meta, '{}'), '$.crashes', coalesce(json_extract(meta, '$.crashes'), 0) + 1), meta
  )
where state = 'executing' and json_extract(attempted_by, '$[1]') = :uuid
returning id, queue, state
