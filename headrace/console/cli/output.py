"""Writes JSON documents to stdout or to a file."""

import codecs
import json
import math
import sys
from pathlib import Path
from typing import Final

from headrace.console.cli.streams import UNENCODABLE

_INDENT: Final = 2


def print_json(document: object) -> None:
    """Print one document; numbers that JSON does not have are written as Prometheus' API writes them."""
    is_unicode = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    print(_text(document, is_ascii=not is_unicode))


def write_json(path: str, document: object) -> None:
    """Write the same document to a file; replace what is there. Raises `OSError`."""
    Path(path).write_text(f"{_text(document)}\n", encoding="utf-8", errors=UNENCODABLE)


def _text(document: object, *, is_ascii: bool = False) -> str:
    return json.dumps(_finite(document), ensure_ascii=is_ascii, allow_nan=False, indent=_INDENT)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    if isinstance(value, dict):
        return {key: _finite(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(below) for below in value]
    return value
