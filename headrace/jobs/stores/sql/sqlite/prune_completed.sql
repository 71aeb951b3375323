-- A completed job was due before: the index has that time, so that only few rows of the table are read.
select id from headrace_prunable
where state = 'completed' and scheduled_at <= ?1 and completed_at <= ?1 and kept_until <= julianday(?2)
limit ?3
