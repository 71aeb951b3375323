select id from prunable where state = 'cancelled' and cancelled_at <= $1 and $2::timestamp is not null limit $3
