-- Many jobs that differ in their args alone.
with inserted as (
  insert into oban_jobs (
    state, queue, worker, args, meta, tags, max_attempts, priority, inserted_at, scheduled_at
  )
  select $1::oban_job_state, $2, $3, args, $5::jsonb, $6::text[], $7, $8, $9::timestamp, $10::timestamp
  from jsonb_array_elements($4::jsonb) with ordinality as new (args, number)
  order by number
  returning id, queue, state
), sent as materialized (
  select pg_notify(current_schema() || '.oban_insert', json_build_object('queue', queue)::text)
  from (select distinct queue from inserted where state = 'available') as queues
)
select id, (select count(sent.*) from sent) from inserted order by id
