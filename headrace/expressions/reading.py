"""How careful code reads an event: the key, else the attribute, and one clear sentence where there is neither."""

from collections.abc import Callable, Mapping
from types import BuiltinMethodType, FunctionType, MethodType, MethodWrapperType
from typing import Protocol, cast

from headrace.expressions.errors import MissingFieldError
from headrace.expressions.functions import SIGNATURES
from headrace.expressions.refusals import did_you_mean

_ABSENT = object()
_METHODS = (BuiltinMethodType, FunctionType, MethodType, MethodWrapperType)
_NAMES_SHOWN = 6  # enough to recognise an event by


class _Readable(Protocol):
    def __getitem__(self, key: object, /) -> object: ...


class Missing(LookupError):
    """`value`, which the expression calls `place`, has no field or item `name`; the sentence is made when shown."""

    def __init__(self, value: object, name: object, place: str) -> None:
        super().__init__(name)
        self.value = value
        self.name = name
        self.place = place

    def in_expression(self, text: str) -> MissingFieldError:
        """The error that its reader sees."""
        what = "field" if isinstance(self.name, str) else "item"
        return MissingFieldError(text, f"{self.place} has no {what} {self.name!r}{self._kind()}", self._hint())

    def _kind(self) -> str:
        if self.value is None:
            return " (it is None)"
        return "" if isinstance(self.value, Mapping) else f" (it is of type {type(self.value).__name__})"

    def _hint(self) -> str:
        known = _field_names(self.value)
        name = str(self.name)
        if near := did_you_mean(name, known):
            return f"did you mean {near!r}?"
        if known:
            more = ", ..." if len(known) > _NAMES_SHOWN else ""
            return f"it has {', '.join(known[:_NAMES_SHOWN])}{more}"
        if name in SIGNATURES:
            return f"write {SIGNATURES[name].usage}"
        return "where it may be missing use default() or has()"


def read_field(value: object, name: str, place: str) -> object:
    """What `event.name` means: the key of a mapping; else an item by that name; else an attribute, but no method."""
    if hasattr(type(value), "__getitem__"):
        try:
            return cast("_Readable", value)[name]
        except (LookupError, TypeError, ValueError):
            if isinstance(value, Mapping):
                raise Missing(value, name, place) from None
    found = getattr(value, name, _ABSENT)
    if found is _ABSENT or isinstance(found, _METHODS):
        raise Missing(value, name, place)
    return found


def read_item(value: object, key: object, place: str) -> object:
    """What `event["key"]` means."""
    try:
        return cast("_Readable", value)[key]
    except (LookupError, TypeError):
        raise Missing(value, key, place) from None


def find_field(value: object, name: str, place: str) -> object:
    """As `read_field`, but what a mapping would make up for a missing key (a defaultdict does) is missing."""
    return read_field(_holding(value, name, place), name, place)


def find_item(value: object, key: object, place: str) -> object:
    """As `read_item`, but what a mapping would make up for a missing key is missing."""
    return read_item(_holding(value, key, place), key, place)


def has(path: Callable[[], object]) -> bool:
    """Whether the path leads to something, even to None."""
    try:
        path()
    except Missing:
        return False
    return True


def default(path: Callable[[], object], fallback: Callable[[], object]) -> object:
    """What the path leads to, None included; the fallback only where it leads nowhere."""
    try:
        return path()
    except Missing:
        return fallback()


def coalesce(*candidates: Callable[[], object]) -> object:
    """The first that is not None, else None; those after it are not worked out."""
    return next((value for candidate in candidates if (value := candidate()) is not None), None)


def get(value: object, key: object, fallback: object = None) -> object:
    """What stands under the key or field, else the fallback."""
    try:
        if isinstance(key, str) and not key.startswith("_"):
            return find_field(value, key, "")
        return find_item(value, key, "")
    except Missing:
        return fallback


def _holding(value: object, key: object, place: str) -> object:
    if isinstance(value, Mapping) and key not in value:
        raise Missing(value, key, place)
    return value


def _field_names(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [key for key in value if isinstance(key, str)]
    holders = (getattr(value, kind, ()) for kind in ("__dict__", "__slots__", "_fields"))
    return [name for holder in holders for name in holder if not name.startswith("_")]
