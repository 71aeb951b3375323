-- Never for the age of a job.
with changed as (
  update oban_jobs
  set state = 'available', attempt = greatest(attempt - 1, 0),
    meta = case
      when $2::boolean
        then headrace_object(meta) || jsonb_build_object('crashes', headrace_counter(meta, 'crashes') + 1)
      else meta
    end
  where state = 'executing' and attempted_by[2] = $1
  returning id, queue, state::text
)
select id, queue, state from changed order by id
