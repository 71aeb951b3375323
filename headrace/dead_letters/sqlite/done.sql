delete from headrace_dead_letters where id = ? and takes = ? and taken_by = ?
