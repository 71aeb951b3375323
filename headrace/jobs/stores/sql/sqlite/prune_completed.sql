-- What is completed was due before; the index has that, and the table need only be read where it may fit.
select id from headrace_prunable
where state = 'completed' and scheduled_at <= :before and completed_at <= :before and kept_until <= julianday(:now)
limit :limit
