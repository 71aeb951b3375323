-- Ours: when the bucket of a rate limit is full again, in seconds since 1970; one without a row is full.
create table if not exists headrace_limits (
  queue text not null,
  partition text not null,
  full_at real not null,
  primary key (queue, partition)
) without rowid;
