select id from headrace_dead_letters
where pipeline = ? and stage = ? and replay_at is not null and taken_by is null
order by id limit ?
