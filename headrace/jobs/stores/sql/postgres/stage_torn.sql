-- Every time of PostgreSQL is one.
select queue from oban_jobs where false limit $1
