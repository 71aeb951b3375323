"""The command line, the HTTP listener, and the pytest plugin."""
