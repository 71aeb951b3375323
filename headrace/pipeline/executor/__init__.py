"""Executors: the rooms in which functions run that would block the event loop: threads and OS processes."""
