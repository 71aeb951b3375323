"""A hash that is the same in every OS process, so that an event's partition survives a restart; Python's own is not."""

import zlib
from typing import Final

from headrace.value_key import ordered

_BITS: Final = 0xFFFFFFFF


def stable_hash(key: object) -> int:
    """Return a whole number, 0 or more, that depends on the key alone.

    A whole number is its own (below 0 too: its 32 bits are taken); of text it is the CRC-32 of its UTF-8 bytes, of
    bytes theirs, and of anything else that of its `repr`, which is stable only where that says all and nothing more.
    The order of a dict's keys does not count.

    >>> stable_hash(7), stable_hash("eu"), stable_hash(b"eu"), stable_hash(("eu", 7))
    (7, 2033977518, 2033977518, 3708763456)
    """
    if isinstance(key, int):
        return int(key) if key >= 0 else int(key) & _BITS
    if isinstance(key, str):
        return zlib.crc32(key.encode("utf-8", "surrogatepass"))
    if isinstance(key, bytes | bytearray | memoryview):
        return zlib.crc32(key)
    return zlib.crc32(repr(ordered(key)).encode("utf-8", "surrogatepass"))
