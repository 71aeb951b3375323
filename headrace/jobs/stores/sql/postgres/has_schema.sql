-- "create table if not exists" would need the right to create one, even where it is there.
select to_regclass('headrace_schema') is not null
