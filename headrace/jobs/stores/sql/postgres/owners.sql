select uuid, lock_file from headrace_producers where lock_file is not null
