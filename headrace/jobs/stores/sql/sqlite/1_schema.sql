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

-- Ours: what is due, without a look at all that is not.
create index if not exists headrace_jobs_due
  on oban_jobs (scheduled_at) where state in ('scheduled', 'retryable');

-- Ours: who claims jobs, and how often it has said that it lives; until when that is thought to hold is for readers.
create table if not exists headrace_producers (
  uuid text primary key,
  node text not null,
  queue text not null,
  started_at text not null,
  expires_at text not null,
  beats integer not null default 0
) without rowid;

-- Ours: which process does the upkeep, and until when.
create table if not exists headrace_leaders (
  name text primary key,
  node text not null,
  expires_at text not null
) without rowid;

-- Ours: what was said about a queue while it ran, kept over restarts; null is what the config says.
create table if not exists headrace_queues (
  queue text primary key,
  concurrency integer,
  is_paused integer not null default 0
) without rowid;

-- Ours: the job that others are doubles of, by a hash of what makes them one. Whether it still keeps them out is asked of
-- the job itself, so that whoever else changes or deletes that need not know of this table.
create table if not exists headrace_unique (
  key text primary key,
  job_id integer not null
) without rowid;
create index if not exists headrace_unique_job on headrace_unique (job_id);

-- Ours: when each entry of the crontab was last enqueued, so that no two processes do it twice.
create table if not exists headrace_crons (
  name text primary key,
  enqueued_at text not null
) without rowid;
