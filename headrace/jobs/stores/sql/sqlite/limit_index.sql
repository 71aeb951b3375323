-- Of a queue whose limits are partitioned only: its oldest jobs, partition by partition.
create index if not exists {index}
  on oban_jobs ({partition}, priority, scheduled_at, id)
  where state = 'available' and queue = {queue}
