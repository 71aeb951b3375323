select {partition}, count(*) from oban_jobs where state = 'executing' and queue = {queue} group by 1
