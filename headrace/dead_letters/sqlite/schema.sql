-- Which of the migrations were done.
create table if not exists headrace_dead_letter_schema (version integer primary key);
