select {partition}, id from oban_jobs
where state = 'available' and queue = ?1 and attempt < max_attempts
  and (?2 is null or worker in (select value from json_each(?2)))
order by priority, scheduled_at, id
limit ?3
