delete from headrace_dead_letters where id in (select id from headrace_dead_letters where at < ? order by at limit ?)
