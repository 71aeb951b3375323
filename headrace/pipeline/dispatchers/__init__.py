"""Dispatchers, as pure values: they decide which subscriber gets an event, and send nothing."""
