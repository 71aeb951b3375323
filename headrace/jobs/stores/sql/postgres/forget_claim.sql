-- Jobs of a claim whose commit was lost with its connection: they are available again.
update oban_jobs set state = 'available', attempt = attempt - 1
where state = 'executing' and queue = $1 and attempted_by = $2::text[] and attempted_at between $3 and $4
