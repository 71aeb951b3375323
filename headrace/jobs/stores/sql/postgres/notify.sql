select pg_notify(current_schema() || '.oban_' || $1, $2)
