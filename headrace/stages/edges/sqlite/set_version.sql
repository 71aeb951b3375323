insert into headrace_buffer_schema (version) values (?)
