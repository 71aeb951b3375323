update oban_jobs set state = 'completed', completed_at = ?, meta = headrace_merge(meta, ?)
where id = ? and attempt = ? and state = 'executing' and attempted_by = ?
