update oban_jobs
set state = 'discarded', discarded_at = :now,
  errors = json_insert(
    headrace_list(errors), '$[#]', json_object('attempt', attempt, 'at', :now, 'error', :reason)
  )
where id in (select value from json_each(:ids)) and +state = 'available' and attempt >= max_attempts
returning id
