-- The replay of a letter failed again: its event stays as it is kept, and so does its id.
update headrace_dead_letters
set error_type = :error_type, error = :error, traceback = :traceback, attempts = attempts + :attempts, at = :at,
  size = :rest + length(cast(event as blob)) + length(cast(metadata as blob)),
  replay_at = null, rate = null, taken_by = null
where id = :id and takes = :lease and stage = :stage and (taken_by is null or taken_by = :owner)
