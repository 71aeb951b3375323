-- Text that is no time is due at once; it sorts behind all times, where few rows are, if any.
update oban_jobs set state = 'available'
where id in (
  select id from oban_jobs
  where state in ('scheduled', 'retryable') and scheduled_at >= ':' and julianday(scheduled_at) is null
  limit ?
)
returning queue
