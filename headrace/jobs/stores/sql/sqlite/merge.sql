update oban_jobs set meta = headrace_merge(meta, ?)
where id = ? and attempt = ? and state = 'executing' and attempted_by = ?
