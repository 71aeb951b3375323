insert into headrace_producers (uuid, node, queue, started_at, expires_at, lock_file)
values ($1, $2, $3, $4, $5, $6)
on conflict (uuid) do update set
  expires_at = excluded.expires_at, lock_file = excluded.lock_file, beats = headrace_producers.beats + 1
