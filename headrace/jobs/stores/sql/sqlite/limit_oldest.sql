select {partition}, id from oban_jobs
where state = 'available' and queue = :queue and attempt < max_attempts
  and (:workers is null or worker in (select value from json_each(:workers)))
order by priority, scheduled_at, id
limit :limit
