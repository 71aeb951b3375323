-- A lease further off than any can be is of a clock that was set back since.
insert into headrace_leaders (name, node, expires_at) values (:name, :node, :expires_at)
on conflict (name) do update set node = excluded.node, expires_at = excluded.expires_at
where node = excluded.node or expires_at <= :now or expires_at > :expires_at
