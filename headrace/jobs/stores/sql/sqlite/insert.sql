insert into oban_jobs (state, queue, worker, args, meta, tags, max_attempts, priority, inserted_at, scheduled_at)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
