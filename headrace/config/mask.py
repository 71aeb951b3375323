"""Puts what is written in the file in the place of what its variables hold, wherever that would be shown."""

from collections.abc import Mapping
from typing import Final

SHORTEST: Final = 6
"""Shorter values (a port, `eu`, `true`) are words of any sentence; hiding them would hide the sentence."""


class Mask:
    """Hides the values that variables gave a config, `given`: each value, and how it is written in the file.

    >>> Mask({"s3cr3tvalue": "${KEY}"})("/tmp/s3cr3tvalue/x does not exist")
    '/tmp/${KEY}/x does not exist'
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        hidden = {value: written for value, written in given.items() if len(value) >= SHORTEST}
        hidden |= {repr(value)[1:-1]: written for value, written in hidden.items()}
        self._hidden = sorted(hidden.items(), key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without any of the values; of two that overlap, the longer one is looked for first."""
        for value, written in self._hidden:
            text = text.replace(value, written)
        return text
