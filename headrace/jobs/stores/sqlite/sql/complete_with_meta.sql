update oban_jobs set state = 'completed', completed_at = ?, meta = json_patch(meta, ?)
where id = ? and attempt = ? and state = 'executing'
