select id from headrace_prunable where state = 'discarded' and discarded_at <= ?1 limit ?3
