update oban_jobs set meta = headrace_merge(meta, $1::jsonb)
where id = $2 and attempt = $3 and state is not distinct from 'executing' and attempted_by = $4::text[]
