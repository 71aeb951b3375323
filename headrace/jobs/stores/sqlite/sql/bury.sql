delete from headrace_producers
where expires_at < ? and uuid not in (
  select json_extract(attempted_by, '$[1]') from oban_jobs
  where state = 'executing' and json_extract(attempted_by, '$[1]') is not null
)
