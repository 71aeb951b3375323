"""Writes JSON documents to stdout."""

import json
import math
from typing import Final

_INDENT: Final = 2


def print_json(document: object) -> None:
    """Print one document; numbers that JSON does not have are written as Prometheus' API writes them."""
    print(json.dumps(_finite(document), ensure_ascii=False, allow_nan=False, indent=_INDENT))


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    if isinstance(value, dict):
        return {key: _finite(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(below) for below in value]
    return value
