"""The faces: the command line and the HTTP listener."""
