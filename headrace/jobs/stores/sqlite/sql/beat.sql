insert into headrace_producers (uuid, node, queue, started_at, expires_at) values (?1, ?2, ?3, ?4, ?5)
on conflict (uuid) do update set expires_at = excluded.expires_at, beats = beats + 1
