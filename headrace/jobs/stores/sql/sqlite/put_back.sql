update oban_jobs set state = 'available', attempt = attempt - 1, meta = headrace_merge(meta, ?)
where id = ? and attempt = ? and state = 'executing' and attempted_by = ?
