update oban_jobs set state = 'available', scheduled_at = :now
where id in (select value from json_each(:ids)) and +state in ('scheduled', 'retryable')
  and (:states is null or state in (select value from json_each(:states)))
returning id, queue, state
