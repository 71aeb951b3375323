-- Keep other transactions that take the lock of this name waiting until this one ends.
select pg_advisory_xact_lock(hashtextextended($1, 0))
