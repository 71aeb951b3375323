update oban_jobs
set state = 'discarded', discarded_at = :now,
  meta = json_set(coalesce(meta, '{}'), '$.crashes', coalesce(json_extract(meta, '$.crashes'), 0) + 1),
  errors = json_insert(
    coalesce(errors, '[]'), '$[#]', json_object('attempt', attempt, 'at', :now, 'error', :reason)
  )
where state = 'executing' and json_extract(attempted_by, '$[1]') = :uuid
  and coalesce(json_extract(meta, '$.crashes'), 0) + 1 >= :limit
returning id, queue, state
