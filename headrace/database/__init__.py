"""What the stores share: SQLite in threads of its own, file locks, SQL files, and URLs."""
