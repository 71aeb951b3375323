-- Whoever replayed these has died; what has killed too many waits for nothing any more.
update headrace_dead_letters
set taken_by = null, attempts = attempts + 1, deaths = deaths + 1,
  replay_at = iif(deaths + 1 < :limit, replay_at, null), rate = iif(deaths + 1 < :limit, rate, null)
where taken_by = :owner
