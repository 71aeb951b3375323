select id from prunable
where state = $1::oban_job_state and kept_until <= $2
  and id <= (select id from oban_jobs where state = $1::oban_job_state order by id desc limit 1 offset $4)
limit $3
