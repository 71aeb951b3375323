select id from oban_jobs where state = 'discarded' and discarded_at <= ?1 limit ?2
