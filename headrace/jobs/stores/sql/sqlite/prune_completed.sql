-- What is completed was due before; the index has that, and the table need only be read where it may fit.
select id from headrace_prunable
where state = 'completed' and scheduled_at <= ?1 and completed_at <= ?1 and kept_until <= julianday(?2)
limit ?3
