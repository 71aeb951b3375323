update headrace_dead_letters set taken_by = null where id = ? and takes = ? and taken_by = ?
