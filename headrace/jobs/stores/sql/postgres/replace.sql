-- A null leaves the column as it is; the state and inserted_at are never replaced.
update oban_jobs
set args = coalesce($4::jsonb, args), max_attempts = coalesce($7, max_attempts), meta = coalesce($5::jsonb, meta),
  priority = coalesce($8, priority), queue = coalesce($2, queue),
  scheduled_at = coalesce($10::timestamp, scheduled_at), tags = coalesce($6::text[], tags),
  worker = coalesce($3, worker)
where id = $11 and ($1::text is null or true) and ($9::timestamp is null or true)
