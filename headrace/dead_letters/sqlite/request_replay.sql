update headrace_dead_letters set replay_at = :at, rate = :rate, deaths = 0
where id in (select value from json_each(:ids)) and replay_at is null and form in ('json', 'base64')
