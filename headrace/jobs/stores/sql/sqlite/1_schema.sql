-- The table and the index of Oban's Lite engine, as its migration makes them.
create table if not exists oban_jobs (
  id integer primary key autoincrement,
  state text not null default 'available',
  queue text not null default 'default',
  worker text not null,
  args text not null default '{}',
  meta text not null default '{}',
  tags text not null default '[]',
  errors text not null default '[]',
  attempt integer not null default 0,
  max_attempts integer not null default 20,
  priority integer not null default 0,
  inserted_at text not null default current_timestamp,
  scheduled_at text not null default current_timestamp,
  attempted_at text,
  attempted_by text not null default '[]',
  cancelled_at text,
  completed_at text,
  discarded_at text
);
create index if not exists oban_jobs_state_queue_priority_scheduled_at_id_index
  on oban_jobs (state, queue, priority, scheduled_at, id);

-- Ours: finds due jobs without reading the others.
create index if not exists headrace_jobs_due
  on oban_jobs (scheduled_at) where state in ('scheduled', 'retryable');

-- Ours: the lease owners, and how many heartbeats each has written; expires_at is for people who read the table.
create table if not exists headrace_producers (
  uuid text primary key,
  node text not null,
  queue text not null,
  started_at text not null,
  expires_at text not null,
  beats integer not null default 0
) without rowid;

-- Ours: which OS process does the maintenance, and until when.
create table if not exists headrace_leaders (
  name text primary key,
  node text not null,
  expires_at text not null
) without rowid;

-- Ours: settings of queues that were changed while they ran, kept over restarts; null is the setting of the config.
create table if not exists headrace_queues (
  queue text primary key,
  concurrency integer,
  is_paused integer not null default 0
) without rowid;

-- Ours: the newest job with each unique key. Its own row decides whether it still keeps others out, so that programs that
-- change or delete it need not know this table.
create table if not exists headrace_unique (
  key text primary key,
  job_id integer not null
) without rowid;
create index if not exists headrace_unique_job on headrace_unique (job_id);

-- Ours: when each entry of the crontab was last enqueued, so that two OS processes do not enqueue it twice.
create table if not exists headrace_crons (
  name text primary key,
  enqueued_at text not null
) without rowid;
