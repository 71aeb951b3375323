-- What is completed was due before; the index has that, and the table need only be read where it may fit.
select id from oban_jobs
where state = 'completed' and scheduled_at <= ?1 and completed_at <= ?1
limit ?2
