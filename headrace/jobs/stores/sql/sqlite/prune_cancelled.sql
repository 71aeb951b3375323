select id from headrace_prunable where state = 'cancelled' and cancelled_at <= ?1 limit ?3
