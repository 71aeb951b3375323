-- The plus keeps the index of all states out of it: the ids are the fewer.
delete from oban_jobs where id in (select value from json_each(?1)) and +state = ?2 returning id
