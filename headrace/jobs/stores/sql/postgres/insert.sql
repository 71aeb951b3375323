-- Jobs in the order of their ids; Oban and other OS processes hear of the queues with available jobs.
with inserted as (
  insert into oban_jobs (
    state, queue, worker, args, meta, tags, max_attempts, priority, inserted_at, scheduled_at
  )
  select state, queue, worker, args, meta, tags::text[], max_attempts, priority, inserted_at, scheduled_at
  from unnest(
    $1::text[]::oban_job_state[], $2::text[], $3::text[], $4::text[]::jsonb[], $5::text[]::jsonb[], $6::text[],
    $7::bigint[], $8::bigint[], $9::timestamp[], $10::timestamp[]
  ) with ordinality as new (
    state, queue, worker, args, meta, tags, max_attempts, priority, inserted_at, scheduled_at, number
  )
  order by number
  returning id, queue, state
), sent as materialized (
  select pg_notify(current_schema() || '.oban_insert', json_build_object('queue', queue)::text)
  from (select distinct queue from inserted where state = 'available') as queues
)
select id, (select count(sent.*) from sent) from inserted order by id
