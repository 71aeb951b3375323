"""Dead letters in a SQLite file."""
