delete from headrace_limits where queue = $1 and full_at <= $2
