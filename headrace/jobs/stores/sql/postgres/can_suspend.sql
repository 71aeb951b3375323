-- Whether Oban's table is at migration 14 or later, which adds the state.
select 'suspended' = any(enum_range(null::oban_job_state)::text[])
