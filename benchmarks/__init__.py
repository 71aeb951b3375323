"""Benchmarks: measures headrace against simpler programs."""
