select id from headrace_prunable
where state = :state and kept_until <= julianday(:now)
  and id <= (select id from oban_jobs where state = :state order by id desc limit 1 offset :keep)
limit :limit
