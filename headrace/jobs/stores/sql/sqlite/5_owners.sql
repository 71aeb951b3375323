-- Ours: the inode of the file in which the owner's OS process holds a lock while it lives; null: only heartbeats tell.
alter table headrace_producers add column lock_file integer;
