-- One statement, so that two OS processes never release two members of a chain.
update oban_jobs set state = iif(julianday(scheduled_at) > julianday(?2), 'scheduled', 'available')
where id = (
  select min(id) from oban_jobs
  where meta <> '{}' and iif(json_valid(meta), json_extract(meta, '$.chain_id'), null) = ?1 and state = 'suspended'
) and not exists (
  select 1 from oban_jobs
  where meta <> '{}' and iif(json_valid(meta), json_extract(meta, '$.chain_id'), null) = ?1
    and state in ('available', 'scheduled', 'executing', 'retryable')
)
returning id, queue, state
