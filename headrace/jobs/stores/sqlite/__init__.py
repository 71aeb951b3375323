"""The SQLite store: the very table of Oban's Lite engine, and a few tables of our own beside it."""
