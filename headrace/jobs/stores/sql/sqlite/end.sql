update oban_jobs
set state = ?, scheduled_at = coalesce(?, scheduled_at), cancelled_at = coalesce(cancelled_at, ?), discarded_at = ?,
  errors = json_insert(headrace_list(errors), '$[#]', json(?)), meta = headrace_merge(meta, ?)
where state in ('executing', ?) and id = ? and attempt = ? and attempted_by = ?
