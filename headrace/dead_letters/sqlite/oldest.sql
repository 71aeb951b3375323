select id, size from headrace_dead_letters order by at, id limit ?
