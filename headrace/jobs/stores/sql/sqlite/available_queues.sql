-- One step in the index for each queue, however many jobs wait in it.
with recursive found (queue) as (
  select min(queue) from oban_jobs where state = 'available'
  union all
  select (select min(queue) from oban_jobs where state = 'available' and queue > found.queue)
  from found where found.queue is not null
)
select queue from found where queue is not null
