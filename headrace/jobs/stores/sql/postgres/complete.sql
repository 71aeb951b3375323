-- One statement for many; "is not distinct from" avoids the index of all states, as the planner cannot use it.
update oban_jobs set state = 'completed', completed_at = $1
where id = any($2::bigint[]) and attempt = $3 and state is not distinct from 'executing' and attempted_by = $4::text[]
