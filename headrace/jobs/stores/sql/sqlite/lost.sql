select value from json_each(?1)
where value not in (
  select id from oban_jobs
  where id in (select value from json_each(?1)) and +state = 'executing' and attempted_by = ?2
)
