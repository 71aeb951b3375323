-- What still runs jobs stays, and is dead once it says nothing for long enough.
delete from headrace_producers
where uuid = ?1 and not exists (
  select 1 from oban_jobs where state = 'executing' and iif(json_valid(attempted_by), json_extract(attempted_by, '$[1]'), null) = ?1
)
