-- For a queue with partitioned limits: its oldest jobs, partition by partition. "if not exists" alone would lock the table.
do $$
begin
  if to_regclass('{index}') is null then
    create index if not exists {index}
      on oban_jobs ({partition}, priority, scheduled_at, id)
      where state = 'available' and queue = {queue};
  end if;
end
$$
