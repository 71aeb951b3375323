-- Many jobs that differ in their args alone.
insert into oban_jobs (state, queue, worker, args, meta, tags, max_attempts, priority, inserted_at, scheduled_at)
select ?1, ?2, ?3, value, ?5, ?6, ?7, ?8, ?9, ?10 from json_each(?4)
