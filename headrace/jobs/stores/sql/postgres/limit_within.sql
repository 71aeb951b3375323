-- The oldest jobs of one partition.
select priority, scheduled_at, id from oban_jobs
where state = 'available' and queue = {queue}
  and ({partition} = $1::jsonb or ($1::jsonb is null and {partition} is null)) and attempt < max_attempts
  and ($2::text[] is null or worker = any($2::text[]))
order by priority, scheduled_at, id
limit $3
