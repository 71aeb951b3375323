delete from headrace_unique where job_id in (select value from json_each(?))
