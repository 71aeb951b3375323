-- One OS process makes the tables, and the others wait.
select pg_advisory_xact_lock(hashtextextended('headrace schema', 0))
