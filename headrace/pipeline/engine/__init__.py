"""The processes that run stages."""
