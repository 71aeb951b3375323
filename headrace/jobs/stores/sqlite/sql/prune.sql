delete from oban_jobs where id in (select value from json_each(:ids)) and state = :state returning id
