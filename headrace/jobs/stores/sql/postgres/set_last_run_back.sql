update headrace_crons set enqueued_at = $1 where name = $2 and enqueued_at = $3
