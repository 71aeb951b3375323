-- The conditions of a filter, each under its name; those that a filter names are joined by "and".
-- A plus avoids the index: if most jobs have a state, its newest are found sooner from the end of the table.
-- ids
id in (select value from json_each(?))
-- before_id
id < ?
-- not_exhausted
state <> 'available' or attempt < max_attempts
-- state
state = ?
-- states
state in (select value from json_each(?))
-- common_states
+state in (select value from json_each(?))
-- queues
queue in (select value from json_each(?))
-- workers
worker in (select value from json_each(?))
-- tags
exists (select 1 from json_each(coalesce(tags, '[]')) where value in (select value from json_each(?)))
-- args_true
iif(json_valid(args), json_type(args, ?), null) = 'true'
-- args_false
iif(json_valid(args), json_type(args, ?), null) = 'false'
-- args_null
iif(json_valid(args), json_type(args, ?), null) = 'null'
-- args_text
iif(json_valid(args), json_type(args, ?), null) = 'text' and json_extract(args, ?) = ?
-- args_number
iif(json_valid(args), json_type(args, ?), null) in ('integer', 'real') and json_extract(args, ?) = ?
-- meta_workflow_id
meta <> '{}' and iif(json_valid(meta), json_extract(meta, '$.workflow_id'), null) = ?
-- meta_batch_id
meta <> '{}' and iif(json_valid(meta), json_extract(meta, '$.batch_id'), null) = ?
-- meta_chain_id
meta <> '{}' and iif(json_valid(meta), json_extract(meta, '$.chain_id'), null) = ?
-- meta_name
iif(json_valid(meta), json_extract(meta, '$.name'), null) = ?
-- meta_text
iif(json_valid(meta), json_type(meta, ?), null) = 'text' and json_extract(meta, ?) = ?
