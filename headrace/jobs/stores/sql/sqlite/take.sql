update oban_jobs
set state = 'executing', attempt = attempt + 1, attempted_at = ?, attempted_by = ?
where id in (select value from json_each(?))
