insert into headrace_queues (queue, concurrency, is_paused) values ($1, $2, coalesce($3, false))
on conflict (queue) do update set
  concurrency = coalesce($2, headrace_queues.concurrency), is_paused = coalesce($3, headrace_queues.is_paused)
