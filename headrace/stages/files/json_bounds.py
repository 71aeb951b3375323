"""Bounds of JSON from outside, checked before it is decoded: small text can become large and slow values."""

import re
from itertools import accumulate, islice
from typing import Final

MAX_VALUES: Final = 250_000
"""Values and keys of one text. Decoding so many holds the event loop for about 30 ms (CPython 3.11)."""

MAX_DEPTH: Final = 100
"""How deep lists and objects may nest: no event needs more, and every later stage that walks the event recurses."""

VALUE_BYTES: Final = 64
"""The memory of a decoded value beside its text: an empty dict takes 64 bytes, a number about 30."""

# Possessive, and the closing quote is optional: so no text takes more than linear time.
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_VALUE: Final = re.compile(_STRING + rb'|[\[{]|[^\s"\[\]{},:]++', re.DOTALL)
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_FEW: Final = 2 * MAX_VALUES  # brackets that are walked sooner (25 ms) than strings are cut out of a large text
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in _STEP)


def count_values(text: bytes, most: int = MAX_VALUES) -> int | None:
    """Return at least the number of values and keys in a JSON text; None where there are more than `most`.

    >>> count_values(b'[1, {"a": 2}]'), count_values(b'[1, 2, 3]', 3)
    (5, None)
    """
    bound = 1 + sum(text.count(sign) for sign in (b",", b":", b"[", b"{"))  # signs in strings are counted, too
    if bound <= most:
        return bound
    exact = sum(1 for _ in islice(_VALUE.finditer(text), most + 1))
    return None if exact > most else exact


def is_too_deep(text: bytes, most: int = MAX_DEPTH) -> bool:
    """Tell whether lists and objects nest deeper than `most`.

    Brackets in strings may hide that, so catch `RecursionError`, too.

    >>> is_too_deep(b"[[1]]", 1), is_too_deep(b'["[["]', 1)
    (True, False)
    """
    brackets = text.translate(None, _NO_BRACKETS)
    if len(brackets) <= _FEW and _depth(brackets) <= most:
        return False
    return _depth(_STRINGS.sub(b"", text).translate(None, _NO_BRACKETS)) > most


def _depth(brackets: bytes) -> int:
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)
