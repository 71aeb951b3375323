"""Dispatchers, as pure values: which subscriber gets an event; they send nothing."""
