-- One statement for many; the plus avoids the index of all states.
update oban_jobs set state = 'completed', completed_at = ?1
where id in (select value from json_each(?2)) and attempt = ?3 and +state = 'executing' and attempted_by = ?4
