update headrace_producers set is_stopping = 1 where uuid = ?
