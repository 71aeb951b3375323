insert into headrace_unique (key, job_id) values ($1, $2)
on conflict (key) do update set job_id = excluded.job_id
