"""The keys of a config, as pydantic models."""
