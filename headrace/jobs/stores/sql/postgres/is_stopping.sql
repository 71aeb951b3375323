select is_stopping from headrace_producers where uuid = $1
