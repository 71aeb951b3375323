"""Pure rules of jobs: schedules, limits, unique keys, retries, flows."""
