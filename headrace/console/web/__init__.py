"""The HTTP listener: metrics, health and API."""
