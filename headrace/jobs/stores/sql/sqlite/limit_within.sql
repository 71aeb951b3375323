-- The oldest jobs of one partition.
select priority, scheduled_at, id from oban_jobs indexed by {index}
where state = 'available' and queue = {queue} and {partition} is :partition and attempt < max_attempts
  and (:workers is null or worker in (select value from json_each(:workers)))
order by priority, scheduled_at, id
limit :limit
