update headrace_producers set is_stopping = true where uuid = $1
