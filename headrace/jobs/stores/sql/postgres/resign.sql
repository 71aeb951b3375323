delete from headrace_leaders where name = $1 and node = $2
