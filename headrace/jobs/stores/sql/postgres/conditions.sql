-- The conditions of a filter, each under its name; those that a filter names are joined by "and".
-- ids
id = any($1::bigint[])
-- before_id
id < $1
-- not_exhausted
state <> 'available' or attempt < max_attempts
-- states
state = any($1::text[]::oban_job_state[])
-- queues
queue = any($1::text[])
-- workers
worker = any($1::text[])
-- tags
tags && $1::text[]
-- args
args #> $1::text[] = $2::jsonb
-- meta_workflow_id
meta ->> 'workflow_id' = $1 and jsonb_typeof(meta -> 'workflow_id') = 'string'
-- meta_batch_id
meta ->> 'batch_id' = $1 and jsonb_typeof(meta -> 'batch_id') = 'string'
-- meta_chain_id
meta ->> 'chain_id' = $1 and jsonb_typeof(meta -> 'chain_id') = 'string'
-- meta_name
meta ->> 'name' = $1 and jsonb_typeof(meta -> 'name') = 'string'
-- meta_text
meta ->> $1 = $2 and jsonb_typeof(meta -> $1) = 'string'
