"""What a queue may be called, and how many of its jobs may run at a time (pure)."""

from typing import Final

from headrace.jobs.errors import BadQueue

NAME_LIMIT: Final = 127
"""Characters of a worker's or a queue's name (Oban's check)."""

LARGEST_LIMIT: Final = 2**31 - 1
"""More than any process can run at a time, and what every store can keep as a number."""

NAME: Final = f"text of 1 to {NAME_LIMIT} characters"


def is_name(value: object) -> bool:
    """Return whether a worker or a queue may be called so.

    >>> is_name("mail"), is_name(""), is_name(5)
    (True, False, False)
    """
    return isinstance(value, str) and 0 < len(value) <= NAME_LIMIT


def is_limit(value: object) -> bool:
    """Return whether so many jobs of a queue may run at a time.

    >>> is_limit(1), is_limit(0), is_limit(True), is_limit(1.5), is_limit("x")
    (True, False, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_LIMIT


def check_queue(name: object) -> None:
    """Raise `BadQueue` for what no queue may be called."""
    if not is_name(name):
        raise BadQueue(name, "the name of a queue", NAME)


def check_limit(queue: str, limit: object) -> None:
    """Raise `BadQueue` unless so many jobs of a queue may run at a time."""
    if not is_limit(limit):
        raise BadQueue(limit, f"the limit of queue {queue!r}", f"a whole number from 1 to {LARGEST_LIMIT:,}")
