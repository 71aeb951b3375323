delete from headrace_producers
where expires_at < ? and uuid not in (
  select iif(json_valid(attempted_by), json_extract(attempted_by, '$[1]'), null) from oban_jobs
  where state = 'executing' and iif(json_valid(attempted_by), json_extract(attempted_by, '$[1]'), null) is not null
)
