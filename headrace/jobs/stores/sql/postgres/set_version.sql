insert into headrace_schema (version) values ($1)
