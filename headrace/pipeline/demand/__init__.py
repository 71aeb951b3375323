"""Demand, as pure values: what a consumer has coming, what a producer owes, what waits in between."""
