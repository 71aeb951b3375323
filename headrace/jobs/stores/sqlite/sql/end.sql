update oban_jobs
set state = ?, scheduled_at = coalesce(?, scheduled_at), cancelled_at = ?, discarded_at = ?,
  errors = json_insert(errors, '$[#]', json(?)), meta = json_patch(meta, ?)
where id = ? and attempt = ? and state in ('executing', ?)
