"""A store of jobs by its URL: the scheme says which, and the rest is that store's own to read."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final, cast

from headrace.database.urls import NUL, has_nul
from headrace.errors import describe
from headrace.jobs.errors import BadJobs, BadStore
from headrace.jobs.stores.store import JobStore

GROUP: Final = "headrace.stores"
"""The entry-point group of stores, ours and guests' alike: the scheme of a URL, and a function that takes the URL.

The function makes a store that is not open yet, and touches neither file nor network; it raises `BadStore`.
"""

MakeStore = Callable[[str], JobStore]


def store_names() -> tuple[str, ...]:
    """Return the schemes that are installed, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def store_of(url: str) -> JobStore:
    """Return the store of a URL such as `sqlite:///var/shop.db` or `memory:`, not open yet. Raises `BadStore`."""
    scheme, colon, _ = url.partition(":")
    if colon and has_nul(url):
        raise BadStore(scheme, NUL)
    found = tuple(entry_points(group=GROUP, name=scheme)) if colon else ()
    if not found:
        known = ", ".join(f"{name}:" for name in store_names())
        raise BadStore(scheme if colon else url, f"is no store: begin with one of {known}")
    try:
        make = cast("MakeStore", found[0].load())
    except Exception as error:
        raise BadStore(scheme, f"is installed, and cannot be loaded: {describe(error)}") from error
    return make(url)


def store_or_of(store: JobStore | str) -> JobStore:
    """Return a store that was handed in by itself or by its URL. Raises `BadStore`, or `BadJobs` for neither."""
    if isinstance(store, str):
        return store_of(store)
    if isinstance(store, type) or not hasattr(store, "claim"):
        raise BadJobs(store, "store", "a store or its URL, as in 'sqlite:///shop.db'")
    return store
