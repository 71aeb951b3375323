-- Ours, beside Oban's table. Finds due jobs without reading the others.
create index if not exists headrace_jobs_due on oban_jobs (scheduled_at) where state in ('scheduled', 'retryable');

-- The members of workflows, batches and chains.
create index if not exists headrace_jobs_workflow
  on oban_jobs ((meta ->> 'workflow_id'), state, (meta ->> 'name')) where meta ->> 'workflow_id' is not null;
create index if not exists headrace_jobs_batch
  on oban_jobs ((meta ->> 'batch_id'), state) where meta ->> 'batch_id' is not null;
create index if not exists headrace_jobs_chain
  on oban_jobs ((meta ->> 'chain_id'), state) where meta ->> 'chain_id' is not null;

-- The lease owners, and how many heartbeats each has written; expires_at is for people who read the table.
create table headrace_producers (
  uuid text primary key,
  node text not null,
  queue text not null,
  started_at timestamp not null,
  expires_at timestamp not null,
  beats bigint not null default 0,
  lock_file bigint,
  is_stopping boolean not null default false
);

-- Which OS process does the maintenance, and until when.
create table headrace_leaders (
  name text primary key,
  node text not null,
  expires_at timestamp not null
);

-- Settings of queues that were changed while they ran, kept over restarts; null is the setting of the config.
create table headrace_queues (
  queue text primary key,
  concurrency integer,
  is_paused boolean not null default false
);

-- The newest job with each unique key; 0 while its transaction has not inserted it yet.
create table headrace_unique (
  key text primary key,
  job_id bigint not null
);
create index headrace_unique_job on headrace_unique (job_id);

-- When each entry of the crontab was last enqueued, so that two OS processes do not enqueue it twice.
create table headrace_crons (
  name text primary key,
  enqueued_at timestamp not null
);

-- When the bucket of a rate limit is full again, in seconds since 1970; one without a row is full.
create table headrace_limits (
  queue text not null,
  partition text not null,
  full_at double precision not null,
  primary key (queue, partition)
);

-- The meta as an object, whatever another program wrote.
create or replace function headrace_object(meta jsonb) returns jsonb language sql immutable as $$
  select case when jsonb_typeof(meta) = 'object' then meta else '{}'::jsonb end
$$;

-- A change merged in: keys are replaced whole, and null removes one.
create or replace function headrace_merge(meta jsonb, change jsonb) returns jsonb language sql immutable as $$
  select (headrace_object(meta) || change)
    - array(select key from jsonb_each(change) where value = 'null'::jsonb)
$$;

-- The counter under a key of the meta.
create or replace function headrace_counter(meta jsonb, key text) returns bigint language sql immutable as $$
  select case when jsonb_typeof(meta -> key) = 'number' then trunc((meta ->> key)::numeric)::bigint else 0 end
$$;

-- The entry of one failed attempt, as Oban writes it.
create or replace function headrace_error(attempt integer, at timestamp, error text) returns jsonb
language sql immutable as $$
  select jsonb_build_object('attempt', attempt, 'at', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'error', error)
$$;

-- The value of a partition of a queue's limits; an index needs an immutable function.
create or replace function headrace_json(value text) returns jsonb language sql immutable as $$
  select to_jsonb(value)
$$;
