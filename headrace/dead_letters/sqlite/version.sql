select coalesce(max(version), 0) from headrace_dead_letter_schema
