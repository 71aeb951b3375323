select ({partition})::text, id from oban_jobs
where state = 'available' and queue = $1 and attempt < max_attempts
  and ($2::text[] is null or worker = any($2::text[]))
order by priority, scheduled_at, id
limit $3
