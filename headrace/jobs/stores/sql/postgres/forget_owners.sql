delete from headrace_producers
where expires_at < $1 and not exists (
  select 1 from oban_jobs where state = 'executing' and attempted_by[2] = headrace_producers.uuid
)
