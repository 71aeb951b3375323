-- One step in the index for each queue, however many jobs wait in it.
with recursive found (queue) as (
  (select queue from oban_jobs where state = 'available' order by queue limit 1)
  union all
  select (
    select queue from oban_jobs where state = 'available' and queue > found.queue order by queue limit 1
  )
  from found where found.queue is not null
)
select queue from found where queue is not null
