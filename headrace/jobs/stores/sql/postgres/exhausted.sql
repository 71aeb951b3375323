select id from oban_jobs where state = 'available' and attempt >= max_attempts limit $1
