-- The conditions of a filter, each under its name; those that a filter names are joined by "and".
-- ids
id in (select value from json_each(:ids))
-- pipeline
pipeline = :pipeline
-- stages
stage in (select value from json_each(:stages))
-- errors
error_type in (select value from json_each(:errors))
-- before
at < :before
-- before_id
id < :before_id
-- is_replayable
form in ('json', 'base64') is :is_replayable
-- is_waiting_for_replay
(replay_at is not null) is :is_waiting_for_replay
