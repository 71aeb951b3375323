"""Sinks: stages where events end."""
