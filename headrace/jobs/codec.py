"""Turns values of an annotation into JSON values and back, by pydantic, and refuses what would not come back."""

import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails, PydanticSerializationError

from headrace.errors.validation import own_sentence, predicate

_CONFIG: Final = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
"""So that bytes of any kind are kept; types with a config of their own keep that."""

_ALIKE: Final = (list, tuple, AbstractSet, Mapping)
"""What may come back as another class of its kind: a sequence as a list, a mapping as a dict."""


_OPEN: Final = frozenset({"dict", "list", "tuple", "set", "frozenset", "generator"})
"""The types of pydantic's core schemas that take anything where they name no items."""

_ITEMS: Final = frozenset({"items_schema", "values_schema"})


class Unfit(Exception):
    """A value does not fit its annotation: the steps to it, what was found, and why not, as the end of a sentence."""

    def __init__(self, path: tuple[int | str, ...], found: object, why: str) -> None:
        self.path = path
        self.found = found
        self.why = why
        super().__init__(why)


class Codec:
    """Of one annotation. Raises pydantic's own error for one that it cannot handle."""

    def __init__(self, hint: Any) -> None:
        self._choices = _choices(hint)
        try:
            self._adapter: TypeAdapter[object] = TypeAdapter(hint, config=_CONFIG)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            self._adapter = TypeAdapter(hint)
        self._has_any = _has_any(self._adapter.core_schema)

    def encoded(self, value: object) -> object:
        """Return `value` as JSON. Raises `Unfit` when it does not fit, or would come back as something else."""
        if isinstance(value, str) and not is_json(value):
            broken = ", which is broken text: it cannot be written as UTF-8"
            raise Unfit((), value, broken)
        try:
            fitting = self._adapter.validate_python(value)
            found = self._adapter.dump_python(fitting, mode="json", warnings="error")
            text = json.dumps(found, ensure_ascii=False, allow_nan=False)
            back = self._adapter.validate_json(text.encode())
        except ValidationError as error:
            unfit = self._unfit(value, error)
        except RecursionError:
            unfit = Unfit((), value, ", which is nested too deep: make it flatter, or keep it elsewhere")
        except (PydanticSerializationError, ValueError, TypeError) as error:
            unfit = Unfit((), value, f", which no JSON can hold ({error}): give it a type that can be kept")
        else:
            changed = _first_change(fitting, back) if self._has_any else None
            if changed is None and (type(back) is type(fitting) or isinstance(fitting, _ALIKE) or back == fitting):
                return found
            unfit = changed or _changed((), value, back)
        raise unfit

    def decoded(self, value: object) -> object:
        """Return what a JSON value means. Raises `Unfit` when it does not fit."""
        try:
            return self._adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            unfit = self._unfit(value, error)
        raise unfit

    def _unfit(self, value: object, error: ValidationError) -> Unfit:
        """Return what is wrong; of several choices pydantic says why each does not fit, which is no sentence."""
        if self._choices:
            return Unfit((), value, f", and must be one of {', '.join(self._choices)}")
        return _first(error)


def _has_any(schema: object) -> bool:
    """Return whether an annotation leaves a part of the values open, as Any, a bare dict and a bare list do."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            kind = one.get("type")
            if kind == "any" or (isinstance(kind, str) and kind in _OPEN and one.keys().isdisjoint(_ITEMS)):
                return True
            waiting.extend(value for key, value in one.items() if key != "metadata")
        elif isinstance(one, list | tuple):
            waiting.extend(one)
    return False


def _first_change(before: object, after: object) -> Unfit | None:
    """Return the first part of a value that came back as another one, or None. A tuple may come back as a list."""
    waiting: list[tuple[tuple[int | str, ...], object, object]] = [((), before, after)]
    while waiting:
        path, one, back = waiting.pop()
        if isinstance(one, Mapping) and isinstance(back, dict):
            for key in one:
                if key not in back:
                    return Unfit(path, one, f", whose key {shown(key)} would come back as text: annotate its keys")
            waiting += [((*path, str(key)), value, back[key]) for key, value in one.items()]
        elif isinstance(one, list | tuple) and isinstance(back, list | tuple) and len(one) == len(back):
            waiting += [((*path, index), *pair) for index, pair in enumerate(zip(one, back, strict=True))]
        elif one is not back and (one != back or isinstance(one, bool) != isinstance(back, bool)):
            return _changed(path, one, back)
    return None


def _changed(path: tuple[int | str, ...], before: object, after: object) -> Unfit:
    """Return the refusal of a value that would come back as another one."""
    if isinstance(before, float) and not math.isfinite(before):
        return Unfit(path, before, ", which no JSON can hold: send None or a text in its place")
    why = f", and would come back as {type(after).__name__}: annotate the parameter with its very type"
    return Unfit(path, before, why)


def shown(value: object) -> str:
    """Return the beginning of how a value is written, or its class where `repr` raises: it is nested too deep, say."""
    try:
        return f"{value!r:.100}"
    except Exception:  # noqa: BLE001 - a `__repr__` of a user's class may raise anything
        return f"a {type(value).__name__}"


def _choices(hint: Any) -> list[str]:
    """Return the names of what a union allows, or nothing where there is no choice."""
    if get_origin(hint) not in {Union, UnionType}:
        return []
    names = [getattr(one, "__name__", str(one)) for one in get_args(hint)]
    return names if len(set(names) - {"NoneType"}) > 1 else []


def is_json(value: object) -> bool:
    """Return whether text or a number is fit for JSON: not broken, and finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first(error: ValidationError) -> Unfit:
    """Return the first thing that is wrong; others show when that is mended."""
    first: ErrorDetails = error.errors(include_url=False)[0]
    if first["type"] == "missing":
        return Unfit(first["loc"][:-1], first["input"], f", and lacks {first['loc'][-1]!r}")
    context = first.get("ctx", {})
    said = predicate(first["type"], context)
    if said is not None:
        return Unfit(first["loc"], first["input"], f", and {said}")
    why = own_sentence(first["msg"], context)
    return Unfit(first["loc"], first["input"], f": {why[:1].lower()}{why[1:]}")
