-- Times are text, in more than one form: the first comparison uses the index, the second is exact.
update oban_jobs set state = 'available'
where id in (
  select id from oban_jobs
  where state in ('scheduled', 'retryable') and scheduled_at <= ?1 and coalesce(julianday(scheduled_at) <= julianday(?1), true)
  order by scheduled_at
  limit ?2
)
returning queue
