select id, event, size from headrace_buffer where id > ? order by id limit ?
