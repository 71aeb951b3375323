insert into headrace_dead_letters
  (pipeline, stage, event, form, metadata, error_type, error, traceback, attempts, at, size)
values
  (:pipeline, :stage, :event, :form, :metadata, :error_type, :error, :traceback, :attempts, :at, :size)
