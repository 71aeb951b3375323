update oban_jobs set state = iif(julianday(scheduled_at) > julianday(:now), 'scheduled', 'available')
where id in (select value from json_each(:ids)) and +state = 'suspended'
  and (:states is null or state in (select value from json_each(:states)))
returning id, queue, state
