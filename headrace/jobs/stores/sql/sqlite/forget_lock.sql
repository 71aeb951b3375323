-- From now on there is nothing to ask of its lock.
update headrace_producers set lock_file = null where uuid = ?
