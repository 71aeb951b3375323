-- Which of the migrations were done.
create table if not exists headrace_buffer_schema (version integer primary key);
