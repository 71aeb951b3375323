select uuid, expires_at from headrace_producers
