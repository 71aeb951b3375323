update oban_jobs set state = iif(julianday(scheduled_at) > julianday(?3), 'scheduled', 'available')
where id in (select value from json_each(?1)) and +state = 'suspended'
  and (?2 is null or state in (select value from json_each(?2)))
returning id, queue, state
