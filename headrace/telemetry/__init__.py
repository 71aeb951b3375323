"""Telemetry: events, counts, and Prometheus."""
