-- Ours: which of the migrations were done.
create table if not exists headrace_schema (version integer primary key)
