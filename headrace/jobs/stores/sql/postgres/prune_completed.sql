-- A completed job was due before: the index has that time, so that only few rows of the table are read.
select id from prunable
where state = 'completed' and scheduled_at <= $1 and completed_at <= $1 and kept_until <= $2
limit $3
