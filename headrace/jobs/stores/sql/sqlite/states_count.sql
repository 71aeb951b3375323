select count(*) from (select 1 from oban_jobs where state in (select value from json_each(?)) limit ?)
