"""A buffer on disk behind a source: what it has taken in outlasts the OS process, until it is through."""
