-- The next partition, as JSON text; null comes after none.
select ({partition})::text from oban_jobs
where state = 'available' and queue = {queue} and {partition} > $1::jsonb
  and ($2::jsonb is null or {partition} <= $2::jsonb)
order by {partition}
limit 1
