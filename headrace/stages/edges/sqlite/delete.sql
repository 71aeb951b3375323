delete from headrace_buffer where id in (select value from json_each(?))
