"""The machine: processes, demand, dispatchers, stages, acknowledgement and supervision."""
