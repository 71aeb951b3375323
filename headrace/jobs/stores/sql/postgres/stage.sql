with due as (
  select id from oban_jobs
  where state in ('scheduled', 'retryable') and scheduled_at <= $1
  order by scheduled_at
  limit $2
  for update skip locked
), staged as (
  update oban_jobs as j set state = 'available' from due where j.id = due.id returning j.queue
), sent as materialized (
  select pg_notify(current_schema() || '.oban_insert', json_build_object('queue', queue)::text)
  from (select distinct queue from staged) as queues
)
select distinct queue, (select count(sent.*) from sent) from staged
