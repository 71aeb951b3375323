select ({partition})::text, count(*) from oban_jobs
where state = 'executing' and queue = {queue} group by {partition}
