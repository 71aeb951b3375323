select to_regclass('oban_jobs') is not null
