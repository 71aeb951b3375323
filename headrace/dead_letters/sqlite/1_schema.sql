-- Events that stages gave up. `rate` is a second at most, `taken_by` the store in whose hands a replay is, and `takes`
-- the how manyeth replay that is; so many of those before as `deaths` says ended with the death of their store.
create table if not exists headrace_dead_letters (
  id integer primary key autoincrement,
  pipeline text not null,
  stage text not null,
  event text not null,
  form text not null,
  metadata text not null,
  error_type text not null,
  error text not null,
  traceback text not null,
  attempts integer not null,
  at text not null,
  size integer not null,
  replay_at text,
  rate real,
  taken_by text,
  takes integer not null default 0,
  deaths integer not null default 0
);
create index if not exists headrace_dead_letters_at on headrace_dead_letters (at, id, size);
create index if not exists headrace_dead_letters_waiting
  on headrace_dead_letters (pipeline, stage, id) where replay_at is not null and taken_by is null;
create index if not exists headrace_dead_letters_taken
  on headrace_dead_letters (taken_by) where taken_by is not null;

-- How many there are, and how large: kept by triggers, for a look at all of them would take long.
create table if not exists headrace_dead_letter_totals (letters integer not null, size integer not null);
insert into headrace_dead_letter_totals select count(*), coalesce(sum(size), 0) from headrace_dead_letters;
create trigger if not exists headrace_dead_letter_in after insert on headrace_dead_letters begin
  update headrace_dead_letter_totals set letters = letters + 1, size = size + new.size;
end;
create trigger if not exists headrace_dead_letter_out after delete on headrace_dead_letters begin
  update headrace_dead_letter_totals set letters = letters - 1, size = size - old.size;
end;
create trigger if not exists headrace_dead_letter_change after update of size on headrace_dead_letters begin
  update headrace_dead_letter_totals set size = size - old.size + new.size;
end;

-- The stores that replay, and how often each has said that it lives.
create table if not exists headrace_dead_letter_takers (uuid text primary key, beats integer not null) without rowid;
