-- A lease that ends later than a new one would was written before the clock was set back.
insert into headrace_leaders (name, node, expires_at) values (?1, ?2, ?4)
on conflict (name) do update set node = excluded.node, expires_at = excluded.expires_at
where node = excluded.node or expires_at <= ?3 or expires_at > ?4
