select job_id from headrace_unique where key = ?
