select coalesce(max(version), 0) from headrace_schema
