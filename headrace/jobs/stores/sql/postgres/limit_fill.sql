insert into headrace_limits (queue, partition, full_at) values ($1, $2, $3)
on conflict (queue, partition) do update set full_at = excluded.full_at
