select count(*), coalesce(sum(size), 0) from headrace_buffer
