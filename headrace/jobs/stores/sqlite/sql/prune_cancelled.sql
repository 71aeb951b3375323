select id from oban_jobs where state = 'cancelled' and cancelled_at <= ?1 limit ?2
