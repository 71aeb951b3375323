"""Arguments of workers: binds a call to parameters, checks the values, and converts them to JSON and back."""

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import ErrorDetails, PydanticSerializationError

from headrace.errors.validation import own_sentence, predicate
from headrace.jobs.errors import BadArguments, BadWorker, did_you_mean
from headrace.jobs.job import Cancel, Discard, Snooze
from headrace.jobs.running_job import RunningJob, current_job

_CONFIG: Final = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
"""Lets pydantic keep any bytes. Types with their own config use that config instead."""

_ALIKE: Final = (list, tuple, AbstractSet, Mapping)
"""Types whose values may be decoded as another class: a tuple as a list, a mapping as a dict."""


_OPEN: Final = frozenset({"dict", "list", "tuple", "set", "frozenset", "generator"})
"""The types of pydantic's core schemas that accept any items if they have no schema of items."""

_ITEMS: Final = frozenset({"items_schema", "values_schema"})


class CodecError(Exception):
    """A value does not fit its annotation: its path, the value, and the reason, as the end of a sentence."""

    def __init__(self, path: tuple[int | str, ...], found: object, why: str) -> None:
        self.path = path
        self.found = found
        self.why = why
        super().__init__(why)


class Codec:
    """Converts the values of one annotation. Raises pydantic's own error for an annotation that it cannot handle."""

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
        """Return `value` as JSON. Raises `CodecError` if it does not fit, or would be decoded as another value."""
        if isinstance(value, str) and not is_json(value):
            broken = ", which is broken text: it cannot be written as UTF-8"
            raise CodecError((), value, broken)
        try:
            fitting = self._adapter.validate_python(value)
            found = self._adapter.dump_python(fitting, mode="json", warnings="error")
            text = json.dumps(found, ensure_ascii=False, allow_nan=False)
            back = self._adapter.validate_json(text.encode())
        except ValidationError as error:
            unfit = self._unfit(value, error)
        except RecursionError:
            unfit = CodecError((), value, ", which is nested too deep: make it flatter, or keep it elsewhere")
        except (PydanticSerializationError, ValueError, TypeError) as error:
            unfit = CodecError((), value, f", which no JSON can hold ({error}): give it a type that can be kept")
        else:
            changed = _first_change(fitting, back) if self._has_any else None
            if changed is None and (type(back) is type(fitting) or isinstance(fitting, _ALIKE) or back == fitting):
                return found
            unfit = changed or _changed((), value, back)
        raise unfit

    def decoded(self, value: object) -> object:
        """Return the value of a JSON value. Raises `CodecError` if it does not fit."""
        try:
            return self._adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            unfit = self._unfit(value, error)
        raise unfit

    def _unfit(self, value: object, error: ValidationError) -> CodecError:
        """Return the error. For a union it names the choices, since pydantic has one error for each of them."""
        if self._choices:
            return CodecError((), value, f", and must be one of {', '.join(self._choices)}")
        return _first(error)


def _has_any(schema: object) -> bool:
    """Return whether an annotation accepts any value somewhere, as Any, a bare dict and a bare list do."""
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


def _first_change(before: object, after: object) -> CodecError | None:
    """Return an error for the first part of a value that was decoded as another value. A tuple may become a list."""
    waiting: list[tuple[tuple[int | str, ...], object, object]] = [((), before, after)]
    while waiting:
        path, one, back = waiting.pop()
        if isinstance(one, Mapping) and isinstance(back, dict):
            for key in one:
                if key not in back:
                    return CodecError(path, one, f", whose key {shown(key)} would come back as text: annotate its keys")
            waiting += [((*path, str(key)), value, back[key]) for key, value in one.items()]
        elif isinstance(one, list | tuple) and isinstance(back, list | tuple) and len(one) == len(back):
            waiting += [((*path, index), *pair) for index, pair in enumerate(zip(one, back, strict=True))]
        elif one is not back and (one != back or isinstance(one, bool) != isinstance(back, bool)):
            return _changed(path, one, back)
    return None


def _changed(path: tuple[int | str, ...], before: object, after: object) -> CodecError:
    """Return the error of a value that would be decoded as another value."""
    if isinstance(before, float) and not math.isfinite(before):
        return CodecError(path, before, ", which no JSON can hold: send None or a text in its place")
    why = f", and would come back as {type(after).__name__}: annotate the parameter with its very type"
    return CodecError(path, before, why)


def shown(value: object) -> str:
    """Return the start of the `repr` of a value. If `repr` raises, as for too deep a value, return its class."""
    try:
        return f"{value!r:.100}"
    except Exception:  # noqa: BLE001 - the `__repr__` of a user's class may raise any error
        return f"a {type(value).__name__}"


def union_members(hint: Any) -> Sequence[Any]:
    """Return the types of a union; of any other type a list of itself."""
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else [hint]


def _choices(hint: Any) -> list[str]:
    """Return the names of the types in a union; an empty list if there is no choice."""
    names = [getattr(one, "__name__", str(one)) for one in union_members(hint)]
    return names if len(set(names) - {"NoneType"}) > 1 else []


def is_json(value: object) -> bool:
    """Return whether a text or a number fits JSON: valid UTF-8, and finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first(error: ValidationError) -> CodecError:
    """Return the first error."""
    first: ErrorDetails = error.errors(include_url=False)[0]
    if first["type"] == "missing":
        return CodecError(first["loc"][:-1], first["input"], f", and lacks {first['loc'][-1]!r}")
    context = first.get("ctx", {})
    text = predicate(first["type"], context)
    if text is not None:
        return CodecError(first["loc"], first["input"], f", and {text}")
    why = own_sentence(first["msg"], context)
    return CodecError(first["loc"], first["input"], f": {why[:1].lower()}{why[1:]}")


_PLAIN: Final = frozenset({int, str, bool, float})
"""Types whose exact instances need no codec: they are JSON already."""

_ANSWERS: Final = frozenset({Snooze, Cancel, Discard})

_SURE: Final = frozenset({int, bool})
"""Those of these types whose values are always JSON. A float may be nan, and a text may be invalid UTF-8."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    """The signature of a function, read once."""

    positional: tuple[str, ...]
    """Parameters that may be positional, in order, without the running job."""
    positional_only: tuple[str, ...]
    """Positional-only parameters."""
    defaults: Mapping[str, object]
    required: frozenset[str]
    plain: Mapping[str, type]
    codecs: Mapping[str, Codec]
    others: Codec | None
    """The codec of `**others`, if the function has that."""
    running: str | None
    """The parameter that gets the running job."""
    needs_running: bool
    """Whether that parameter has no default."""
    is_bare: bool
    """Whether it may be called without arguments."""


class Arguments:
    """Converts the arguments of one function, to enqueue it and to run it. Reads annotations at first use."""

    def __init__(self, function: Callable[..., object], worker: str, *, is_secret: bool = False) -> None:
        """With `is_secret`, no error shows a value. Raises `BadWorker` for a function with `*args`."""
        self._function = function
        self._worker = worker
        self._is_secret = is_secret
        self._signature = _signature(function, worker)
        self._kept: _Shape | None = None

    @property
    def are_many(self) -> bool:
        """Whether a call may have more than one argument, without the running job."""
        shape = self._kept or self._shape()
        return len(shape.codecs) > 1 or shape.others is not None

    def check(self) -> None:
        """Read the annotations now. Raises `BadWorker` for unknown names, and for types that JSON cannot hold."""
        self._shape()

    def result_codec(self) -> Codec:
        """Return the codec of the function's result, without the answers that it may give in place of a result.

        Raises `BadWorker` for a type that JSON cannot hold.
        """
        hint = _hints(self._function, self._worker).get("return", Any)
        if get_origin(hint) in {Union, UnionType}:
            results = tuple(one for one in get_args(hint) if one not in _ANSWERS)
            hint = Union[results] if results else Any  # noqa: UP007 - of a tuple
        return _codec_of(self._worker, "result", hint)

    def bound(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments of a call by parameter name, as JSON values, without defaults.

        Raises `BadArguments` for a call that the function would not accept, and for a value that does not fit.
        """
        shape = self._kept or self._shape()
        if shape.is_bare and not args and not kwargs:
            return {}
        if len(args) > len(shape.positional):
            raise self._error(None, f"takes {len(shape.positional)} arguments by place, and was given {len(args)}")
        if args or shape.running in kwargs:
            values = dict(zip(shape.positional, args, strict=False))
            self._take_named(shape, values, kwargs)
        else:
            values = dict(kwargs)
        if not shape.required <= values.keys():
            raise self._missing(shape, values)
        plain = shape.plain
        for name, value in values.items():
            kind = plain.get(name)
            if type(value) is not kind or not (kind in _SURE or is_json(value)):
                values[name] = self._converted(shape, name, value, Codec.encoded)
        return values

    def completed(
        self, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> tuple[Sequence[object], Mapping[str, object]]:
        """Return the arguments of a direct call, with the running job added if the function needs it.

        Raises `NoRunningJob` if no job runs.
        """
        shape = self._kept or self._shape()
        running = shape.running
        if running is None or not shape.needs_running or running in kwargs:
            return args, kwargs
        if any(isinstance(one, RunningJob) for one in args):
            return args, kwargs
        count = len(shape.positional_only)
        named = dict(zip(shape.positional[count:], args[count:], strict=False))
        return args[:count], {**named, **kwargs, running: current_job()}

    def bound_of(self, entry: object) -> dict[str, object]:
        """Bind arguments in a tuple, in order, or in a mapping, by name, as `bound` does."""
        if type(entry) is dict or isinstance(entry, Mapping):  # the first check takes a fifth of the second
            return self.bound((), entry)
        if isinstance(entry, list | tuple):
            return self.bound(entry, {})
        found = type(entry).__name__
        raise self._error(None, f"cannot be called with {found}: give its arguments in a tuple or in a dict")

    def restored(
        self, args: Mapping[str, object], running: RunningJob | None
    ) -> tuple[list[object], dict[str, object]]:
        """Decode the args of a job; return the positional and the named arguments for the function.

        Raises `BadArguments` for args that do not fit, or no longer fit.
        """
        shape = self._kept or self._shape()
        if shape.is_bare and not args:
            return [], {}
        if not shape.required <= args.keys():
            raise self._missing(shape, args)
        values: dict[str, object] = {}
        plain = shape.plain
        for name, value in args.items():
            values[name] = (
                value if type(value) is plain.get(name) else self._converted(shape, name, value, Codec.decoded)
            )
        if shape.running is not None:
            values[shape.running] = running
        positional = [values.pop(name, shape.defaults.get(name)) for name in shape.positional_only]
        return positional, values

    def _shape(self) -> _Shape:
        if self._kept is None:
            self._kept = _shape(self._function, self._worker, self._signature)
        return self._kept

    def _take_named(self, shape: _Shape, values: dict[str, object], kwargs: Mapping[str, object]) -> None:
        for name, value in kwargs.items():
            if name in values:
                raise self._error(name, "is given twice: give it by place or by name")
            if name == shape.running:
                raise self._error(name, "is the running job, and not to be given: leave it out")
            values[name] = value

    def _codec(self, shape: _Shape, name: str) -> Codec:
        codec = shape.codecs.get(name, shape.others)
        if codec is not None:
            return codec
        raise self._error(name, f"is no parameter of it: {did_you_mean(name, shape.codecs)}")

    def _converted(self, shape: _Shape, name: str, value: object, convert: Callable[[Codec, object], object]) -> object:
        codec = self._codec(shape, name)
        try:
            return convert(codec, value)
        except CodecError as unfit:
            error = self._unfit(name, unfit)
        raise error

    def _error(self, parameter: str | None, why: str) -> BadArguments:
        return BadArguments(self._worker, parameter, why)

    def _missing(self, shape: _Shape, given: Mapping[str, object]) -> BadArguments:
        name = next(name for name in shape.codecs if name in shape.required and name not in given)
        return self._error(
            name, f"is missing: it needs {', '.join(each for each in shape.codecs if each in shape.required)}"
        )

    def _unfit(self, name: str, unfit: CodecError) -> BadArguments:
        """Return the error of a value, without pydantic's own error, which would show the value."""
        if self._is_secret:
            return self._error(name, "does not fit, and is secret, so its value is not shown: check its type")
        path = ".".join((name, *map(str, unfit.path)))
        return self._error(path, f"is {shown(unfit.found)}{unfit.why}")


def _signature(function: Callable[..., object], worker: str) -> inspect.Signature:
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise BadWorker(worker, f"*{parameter.name} gives its arguments no names: write a parameter for each")
    return signature


def _shape(function: Callable[..., object], worker: str, signature: inspect.Signature) -> _Shape:
    hints = _hints(function, worker)
    parameters = {name: one for name, one in signature.parameters.items() if not _is_job(hints.get(name))}
    others = next((one.name for one in parameters.values() if one.kind is one.VAR_KEYWORD), None)
    codecs = {name: _codec_of(worker, name, hints.get(name, Any)) for name in parameters}
    of_others = codecs.pop(others) if others is not None else None
    named = [parameters[name] for name in codecs]
    running = next((name for name in signature.parameters if name not in parameters), None)
    if running is not None and signature.parameters[running].kind is inspect.Parameter.POSITIONAL_ONLY:
        raise BadWorker(worker, f"its {running!r} gets the running job by name: take the / after it away")
    required = frozenset(one.name for one in named if one.default is one.empty)
    positional_only = tuple(one.name for one in named if one.kind is one.POSITIONAL_ONLY)
    return _Shape(
        positional=tuple(one.name for one in named if one.kind is not one.KEYWORD_ONLY),
        positional_only=positional_only,
        defaults={one.name: one.default for one in named if one.default is not one.empty},
        required=required,
        plain={name: hints[name] for name in codecs if hints.get(name) in _PLAIN},
        codecs=codecs,
        others=of_others,
        running=running,
        needs_running=running is not None and signature.parameters[running].default is inspect.Parameter.empty,
        is_bare=not (required or positional_only or running),
    )


def _hints(function: Callable[..., object], worker: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        why = f"its annotations cannot be read ({error}): name types that stand in its module"
    raise BadWorker(worker, why)


def _codec_of(worker: str, name: str, hint: Any) -> Codec:
    try:
        return Codec(hint)
    except PydanticUserError as error:
        first = error.message.splitlines()[0].split(". ", 1)[0].rstrip(".")
        why = f"its {name!r} cannot be kept as JSON ({first}): take a type that can, such as a dataclass"
    raise BadWorker(worker, why)


def _is_job(hint: Any) -> bool:
    return any(one is RunningJob for one in union_members(hint))
