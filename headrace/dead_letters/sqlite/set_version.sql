insert into headrace_dead_letter_schema (version) values (?)
