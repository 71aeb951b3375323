-- Ours: whether the owner was asked to stop, so that the death of its OS process is no crash of its jobs.
alter table headrace_producers add column is_stopping integer not null default 0;
