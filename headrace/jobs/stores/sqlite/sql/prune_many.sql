select id from oban_jobs
where state = ?1 and id <= (select id from oban_jobs where state = ?1 order by id desc limit 1 offset ?2)
limit ?3
