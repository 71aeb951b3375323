update headrace_dead_letters set attempts = attempts + 1, replay_at = null, rate = null, taken_by = null
where id = ? and takes = ? and taken_by = ?
