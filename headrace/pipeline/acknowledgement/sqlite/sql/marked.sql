select stage, count(*) from headrace_dead_letters
where pipeline = ? and replay_at is not null and taken_by is null
group by stage order by stage
