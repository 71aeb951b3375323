select mine.id from unnest($1::bigint[]) with ordinality as mine (id, number)
where not exists (
  select 1 from oban_jobs as j
  where j.id = mine.id and j.state is not distinct from 'executing' and j.attempted_by = $2::text[]
)
order by mine.number
