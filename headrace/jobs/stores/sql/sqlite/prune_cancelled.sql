select id from headrace_prunable where state = 'cancelled' and cancelled_at <= :before limit :limit
