update headrace_dead_letters set replay_at = null, rate = null
where id in (select value from json_each(?)) and replay_at is not null and taken_by is null
