insert into headrace_queues (queue, concurrency, is_paused) values (?1, ?2, coalesce(?3, 0))
on conflict (queue) do update set
  concurrency = coalesce(?2, concurrency), is_paused = coalesce(?3, is_paused)
