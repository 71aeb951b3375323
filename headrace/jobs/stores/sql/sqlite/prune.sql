-- The plus avoids the index of all states: the ids are fewer.
delete from oban_jobs where id in (select value from json_each(?1)) and +state = ?2 returning id
