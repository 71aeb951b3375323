-- The conditions of a filter, each under its name; those that a filter names are joined by "and".
-- ids
id in (select value from json_each(?))
-- pipeline
pipeline = ?
-- stages
stage in (select value from json_each(?))
-- errors
error_type in (select value from json_each(?))
-- before
at < ?
-- before_id
id < ?
-- is_replayable
form in ('json', 'base64') is ?
-- is_marked
(replay_at is not null) is ?
