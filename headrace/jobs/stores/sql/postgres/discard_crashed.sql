with changed as (
  update oban_jobs
  set state = 'discarded', discarded_at = $2,
    meta = headrace_object(meta) || jsonb_build_object('crashes', headrace_counter(meta, 'crashes') + 1),
    errors = errors || headrace_error(attempt, $2, $4)
  where state = 'executing' and attempted_by[2] = $1 and headrace_counter(meta, 'crashes') + 1 >= $3
  returning id, queue, state::text
)
select id, queue, state from changed order by id
