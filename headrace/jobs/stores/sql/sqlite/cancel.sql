update oban_jobs set state = 'cancelled', cancelled_at = :now
where id in (select value from json_each(:ids)) and +state not in ('completed', 'discarded', 'cancelled')
  and (:states is null or state in (select value from json_each(:states)))
returning id, queue, state
