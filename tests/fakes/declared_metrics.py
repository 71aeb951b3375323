"""Finds every metric that a module of headrace declares."""

import importlib
import pkgutil
from collections.abc import Iterator

import headrace
from headrace.telemetry.counts import FamilySpec


def declared_metrics() -> Iterator[FamilySpec]:
    """Yield every metric that a module of headrace declares."""
    for module in pkgutil.walk_packages(headrace.__path__, "headrace."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                yield from [value] if isinstance(value, FamilySpec) else ()
