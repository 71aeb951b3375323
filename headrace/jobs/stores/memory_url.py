"""The memory store by its URL, which is `memory:` and nothing more."""

from headrace.jobs.errors import BadStore
from headrace.jobs.stores.memory_store import MemoryStore


def make(url: str) -> MemoryStore:
    """Return a store in memory. Raises `BadStore`."""
    if url.removeprefix("memory:").strip("/"):
        raise BadStore("memory", "has neither a path nor options: write memory: alone")
    return MemoryStore()
