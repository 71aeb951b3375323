update oban_jobs
set state = 'available', attempt = attempt - 1, meta = json_patch(meta, ?)
where id = ? and attempt = ? and state = 'executing'
