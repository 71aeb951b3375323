-- Times that a hand wrote are brought into one form; what is no time is left out, and is staged as it is found.
select strftime('%Y-%m-%dT%H:%M:%fZ', scheduled_at) from oban_jobs
where state in ('scheduled', 'retryable') and scheduled_at glob '????-*' and julianday(scheduled_at) is not null
order by scheduled_at
limit 1
