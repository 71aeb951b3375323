"""`loaded` and `lazy_names`: names that are imported on first use, so that commands start quickly."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def loaded(module: str, name: str) -> Any:
    """Import a module below `headrace`, and return the object that it defines under that name."""
    return getattr(import_module(f"headrace.{module}"), name)


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package whose public names are defined elsewhere.

    `modules` maps each public name to the module that defines it, below `headrace`. A name is loaded once.
    """

    def __getattr__(name: str) -> object:  # noqa: N807 - PEP 562
        if name not in modules:
            raise AttributeError(f"{package} has no {name!r}; it has: {', '.join(__dir__())}")  # noqa: TRY003 - Python's own
        found: object = loaded(modules[name], name)
        setattr(sys.modules[package], name, found)
        return found

    def __dir__() -> list[str]:  # noqa: N807 - PEP 562
        public: list[str] = vars(sys.modules[package]).get("__all__", list(modules))
        return sorted(public)

    return __getattr__, __dir__
