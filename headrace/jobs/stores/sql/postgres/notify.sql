select pg_notify(current_schema() || '.oban_' || $1, payload) from unnest($2::text[]) as payload
