select queue, state::text, count(*) from oban_jobs group by state, queue
