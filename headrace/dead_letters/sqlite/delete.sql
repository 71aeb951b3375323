delete from headrace_dead_letters where id in (select value from json_each(?))
