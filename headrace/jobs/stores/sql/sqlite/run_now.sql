update oban_jobs set state = 'available', scheduled_at = ?3
where id in (select value from json_each(?1)) and +state in ('scheduled', 'retryable')
  and (?2 is null or state in (select value from json_each(?2)))
returning id, queue, state
