delete from headrace_unique where job_id = any($1::bigint[])
