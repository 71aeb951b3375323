-- From now on its lock says nothing.
update headrace_producers set lock_file = null where uuid = ?
