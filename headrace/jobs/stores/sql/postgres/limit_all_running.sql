select count(*) from oban_jobs where state = 'executing' and queue = $1
