-- For a queue with partitioned limits: its oldest jobs, partition by partition.
create index if not exists {index}
  on oban_jobs ({partition}, priority, scheduled_at, id)
  where state = 'available' and queue = {queue}
