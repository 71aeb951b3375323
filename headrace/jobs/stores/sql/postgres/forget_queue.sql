delete from headrace_queues where queue = $1
