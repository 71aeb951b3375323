delete from oban_jobs
where id in (select value from json_each(?1)) and +state <> 'executing'
  and (?2 is null or state in (select value from json_each(?2)))
returning id, queue, state
