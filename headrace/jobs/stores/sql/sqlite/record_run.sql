insert into headrace_crons (name, enqueued_at) values (?, ?)
on conflict (name) do update set enqueued_at = excluded.enqueued_at where enqueued_at < excluded.enqueued_at
