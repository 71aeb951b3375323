"""The databases of stores: SQLite in its own threads, file locks, SQL files and URLs."""
