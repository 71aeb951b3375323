-- An owner with running jobs stays, and is dead once it has missed its heartbeats.
delete from headrace_producers
where uuid = $1 and not exists (select 1 from oban_jobs where state = 'executing' and attempted_by[2] = $1)
