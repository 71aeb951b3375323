-- A lease that ends later than a new one would was written before the clock was set back.
insert into headrace_leaders (name, node, expires_at) values ($1, $2, $4)
on conflict (name) do update set node = excluded.node, expires_at = excluded.expires_at
where headrace_leaders.node = excluded.node or headrace_leaders.expires_at <= $3
  or headrace_leaders.expires_at > $4
