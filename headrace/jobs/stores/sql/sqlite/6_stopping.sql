-- Ours: whether the claimant was asked to stop, so that the death of its process is no crash of the jobs that it runs.
alter table headrace_producers add column is_stopping integer not null default 0;
