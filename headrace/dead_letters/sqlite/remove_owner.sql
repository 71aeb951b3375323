delete from headrace_dead_letter_takers where uuid = ?
