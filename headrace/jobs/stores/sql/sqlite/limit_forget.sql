delete from headrace_limits where queue = ? and full_at <= ?
