-- The oldest jobs of one partition.
select priority, scheduled_at, id from oban_jobs indexed by {index}
where state = 'available' and queue = {queue} and {partition} is ?1 and attempt < max_attempts
  and (?2 is null or worker in (select value from json_each(?2)))
order by priority, scheduled_at, id
limit ?3
