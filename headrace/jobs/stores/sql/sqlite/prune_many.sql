select id from headrace_prunable
where state = ?1 and kept_until <= julianday(?2)
  and id <= (select id from oban_jobs where state = ?1 order by id desc limit 1 offset ?4)
limit ?3
