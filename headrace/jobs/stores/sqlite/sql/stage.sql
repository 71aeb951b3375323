update oban_jobs set state = 'available'
where id in (
  select id from oban_jobs
  where state in ('scheduled', 'retryable') and scheduled_at <= ?
  order by scheduled_at
  limit ?
)
returning queue
