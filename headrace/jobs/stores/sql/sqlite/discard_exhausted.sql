update oban_jobs
set state = 'discarded', discarded_at = ?2,
  errors = json_insert(
    headrace_list(errors), '$[#]', json_object('attempt', attempt, 'at', ?2, 'error', ?3)
  )
where id in (select value from json_each(?1)) and +state = 'available' and attempt >= max_attempts
returning id
