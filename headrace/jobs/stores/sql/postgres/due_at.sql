select scheduled_at from oban_jobs
where state in ('scheduled', 'retryable')
order by scheduled_at
limit 1
