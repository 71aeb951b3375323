update headrace_crons set enqueued_at = ? where name = ? and enqueued_at = ?
