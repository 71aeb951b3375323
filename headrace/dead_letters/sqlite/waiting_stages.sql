-- One look at the index for each stage, however many letters of it wait.
with recursive stages (stage) as (
  select min(stage) from headrace_dead_letters
  where pipeline = :pipeline and replay_at is not null and taken_by is null
  union all
  select (
    select min(stage) from headrace_dead_letters
    where pipeline = :pipeline and replay_at is not null and taken_by is null and stage > stages.stage
  )
  from stages where stage is not null
)
select stage from stages where stage is not null
