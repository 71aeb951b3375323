"""Settings that hold for every test."""

from hypothesis import settings

# On shared cores an honest example may take long; time is judged by the timeout of the whole test.
settings.register_profile("headrace", deadline=None)
settings.load_profile("headrace")

pytest_plugins = ["pytester"]
"""Runs the small projects of users whose tests lean on our plugin."""
