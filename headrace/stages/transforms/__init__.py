"""Transforms: stages that turn events into other events, or keep only some."""
