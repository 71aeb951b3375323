"""Reads the header Retry-After, in both of its forms (RFC 9110, 10.2.3)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_DIGITS = 9
"""More digits are no time that anybody would wait."""


def parse_retry_after(text: str, now: datetime) -> float | None:
    """Return for how many seconds, 0 or more, a header asks to wait; None when it says nothing that can be read.

    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> parse_retry_after("120", now)
    120.0
    >>> parse_retry_after("Thu, 01 Jan 2026 00:00:30 GMT", now)
    30.0
    >>> parse_retry_after("soon", now)
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= LONGEST_DIGITS else None
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
