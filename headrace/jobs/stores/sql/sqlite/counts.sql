select queue, state, count(*) from oban_jobs group by state, queue
