select job.id, job.state::text, job.inserted_at, job.scheduled_at, job.completed_at
from headrace_unique
join oban_jobs as job on job.id = headrace_unique.job_id
where headrace_unique.key = $1
