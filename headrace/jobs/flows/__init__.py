"""Workflows, batches, chains and chunks."""
