"""Stores: where jobs are kept, each with its queries beside it."""
