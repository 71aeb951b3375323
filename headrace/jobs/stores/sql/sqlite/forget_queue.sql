delete from headrace_queues where queue = ?
