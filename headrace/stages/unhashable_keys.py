"""What keys must be, so that something can be kept for each."""

from collections.abc import Hashable

from headrace.stages.errors import BadEvent
from headrace.value_key import key_of


def hashable(key: object) -> Hashable:
    """Return a key that can be told from others; `value_of` gives back what it was. Raises `BadEvent`."""
    try:
        return key_of(key)
    except (TypeError, RecursionError):
        why = f"a key is text, a number, a list, a dict or the like, and this one is of type {type(key).__name__}"
        raise BadEvent(why) from None
