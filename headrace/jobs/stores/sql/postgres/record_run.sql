insert into headrace_crons (name, enqueued_at) values ($1, $2)
on conflict (name) do update set enqueued_at = excluded.enqueued_at
where headrace_crons.enqueued_at < excluded.enqueued_at
