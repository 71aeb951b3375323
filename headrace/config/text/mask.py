"""Puts what is written in the file in the place of what its variables hold, wherever that would be shown."""

import json
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote

SHORTEST: Final = 6
"""Shorter values (a port, `eu`, `true`) are words of any sentence; hiding them would hide the sentence."""


class Mask:
    """Hides the values that variables gave a config, `given`: each value, and how it is written in the file.

    >>> Mask({"s3cr3tvalue": "${KEY}"})("/tmp/s3cr3tvalue/x does not exist")
    '/tmp/${KEY}/x does not exist'
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        hidden = {form: written for value, written in given.items() for form in _forms(value) if len(form) >= SHORTEST}
        self._hidden = sorted(hidden.items(), key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without any of the values; of two that overlap, the longer one is looked for first."""
        for value, written in self._hidden:
            text = text.replace(value, written)
        return text


def _forms(value: str) -> set[str]:
    """Return the spellings of a value in sentences: as it is, without outer blanks, quoted, in JSON, in a URL."""
    plain = {value, value.strip(), unquote(value)}
    quoted = {repr(one)[1:-1] for one in plain} | {repr(one + "'\"")[1:-4] for one in plain}
    written = {json.dumps(one, ensure_ascii=is_ascii)[1:-1] for one in plain for is_ascii in (True, False)}
    in_urls = {how(one, safe, errors="replace") for one in plain for how in (quote, quote_plus) for safe in ("", "/")}
    return plain | quoted | written | in_urls
