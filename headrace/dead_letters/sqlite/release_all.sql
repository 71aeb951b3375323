update headrace_dead_letters set taken_by = null where taken_by = ?
