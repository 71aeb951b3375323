select name, enqueued_at from headrace_crons
