delete from oban_jobs
where id in (select value from json_each(:ids)) and +state <> 'executing'
  and (:states is null or state in (select value from json_each(:states)))
returning id, queue, state
