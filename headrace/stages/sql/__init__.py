"""SQL databases that stages read and write: SQLite and PostgreSQL."""
