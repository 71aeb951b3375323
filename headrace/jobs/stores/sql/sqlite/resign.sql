delete from headrace_leaders where name = ? and node = ?
