select partition, full_at from headrace_limits where queue = ? and full_at > ?
