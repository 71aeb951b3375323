delete from oban_jobs where id = any($1::bigint[]) and state::text = $2 returning id
