insert into headrace_buffer (event, size) values (?, ?)
