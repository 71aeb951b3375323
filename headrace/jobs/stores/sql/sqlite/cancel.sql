update oban_jobs set state = 'cancelled', cancelled_at = ?3
where id in (select value from json_each(?1)) and +state not in ('completed', 'discarded', 'cancelled')
  and (?2 is null or state in (select value from json_each(?2)))
returning id, queue, state
