"""What an event takes of a buffer's bound in bytes."""

import json
import sys
from typing import Final

from headrace.event_json import json_or_repr
from headrace.pipeline.message import Message

EVENT_BYTES: Final = 32
"""What an event takes beside its text."""


def text_size(text: str) -> int:
    """Return what an event takes whose text as JSON this is.

    >>> text_size("[1]")
    35
    """
    return len(text.encode(errors="surrogatepass")) + EVENT_BYTES


def event_size(event: object) -> int:
    """Return what an event takes; of a message, its data. Where it is no JSON, Python's text for it is measured.

    >>> event_size([1]), event_size({1, 2})
    (35, 38)
    """
    data = event.data if isinstance(event, Message) else event
    try:
        return text_size(json.dumps(data, ensure_ascii=False, default=json_or_repr))
    except (TypeError, ValueError, RecursionError):  # keys that are no text, or an event that holds itself
        return sys.getsizeof(data) + EVENT_BYTES
