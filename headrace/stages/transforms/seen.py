"""Which keys were seen of late: bounded by number and by time. Pure: times are handed in."""

from collections import OrderedDict
from collections.abc import Hashable


class Seen:
    """Remembers at most `most` keys, each for `seconds` after it was first seen, or for ever with None."""

    def __init__(self, most: int, seconds: float | None) -> None:
        self._most = most
        self._seconds = seconds
        self._at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._at)

    def is_new(self, key: Hashable, now: float) -> bool:
        """Tell whether a key was not seen of late; from now on it was."""
        seconds = self._seconds
        while seconds is not None and self._at and now - next(iter(self._at.values())) >= seconds:
            self._at.popitem(last=False)
        if key in self._at:
            return False
        self._at[key] = now
        if len(self._at) > self._most:
            self._at.popitem(last=False)
        return True

    def forget(self, key: Hashable) -> None:
        """Take a key for one that was not seen."""
        self._at.pop(key, None)
