"""How a queue claims jobs, runs them, and writes their outcomes."""
