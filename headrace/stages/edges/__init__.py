"""Durable edges: a buffer in a SQLite file, and the two stages around it."""
