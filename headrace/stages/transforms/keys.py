"""What keys must be, so that something can be kept for each."""

from collections.abc import Hashable

from headrace.stages.errors import BadEvent


def hashable(key: object) -> Hashable:
    """Return a key that can be told from others. Raises `BadEvent`."""
    try:
        hash(key)
    except TypeError:
        why = f"a key is text, a number or the like, and this one is of type {type(key).__name__}"
        raise BadEvent(why) from None
    return key
