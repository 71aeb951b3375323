-- Ours: the inode of the file in which the claimant's OS process holds a lock while it lives; null: only beats tell.
alter table headrace_producers add column lock_file integer;
