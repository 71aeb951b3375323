-- One form for times of other programs; text that is no time is left out, and stage_torn stages it.
select strftime('%Y-%m-%dT%H:%M:%fZ', scheduled_at) from oban_jobs
where state in ('scheduled', 'retryable') and scheduled_at glob '????-*' and julianday(scheduled_at) is not null
order by scheduled_at
limit 1
