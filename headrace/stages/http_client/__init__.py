"""Sends requests, and says what became of each in words that a retry understands."""
