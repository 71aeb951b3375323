-- Locks the row of each key, and makes the missing ones; in order, so that two transactions cannot deadlock.
insert into headrace_unique (key, job_id)
select key, 0 from unnest($1::text[]) as key order by key
on conflict (key) do update set job_id = excluded.job_id where false
