update oban_jobs set state = 'completed', completed_at = ?
where id = ? and attempt = ? and state = 'executing' and attempted_by = ?
