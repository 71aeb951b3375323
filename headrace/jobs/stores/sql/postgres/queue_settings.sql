select queue, concurrency, is_paused from headrace_queues order by queue
