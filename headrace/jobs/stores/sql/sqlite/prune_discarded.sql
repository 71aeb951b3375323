select id from headrace_prunable where state = 'discarded' and discarded_at <= :before limit :limit
