delete from headrace_leaders where node = (select node from headrace_producers where uuid = $1)
