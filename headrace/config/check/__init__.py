"""Checks a config as a whole."""
