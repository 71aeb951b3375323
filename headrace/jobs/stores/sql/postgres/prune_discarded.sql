select id from prunable where state = 'discarded' and discarded_at <= $1 and $2::timestamp is not null limit $3
