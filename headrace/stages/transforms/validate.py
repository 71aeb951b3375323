"""Checks events against a pydantic model or a JSON Schema."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, cast

import fastjsonschema
from pydantic import (
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from typing_extensions import override

from headrace.errors.validation import sentence
from headrace.expressions.patterns import USE_PYTHON, PatternError, Regex, Search, compile_search
from headrace.pipeline.dispatchers.partition import Output
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.errors import BadEvent
from headrace.stages.functions import LazyFunction
from headrace.stages.options import FunctionField, Options, StageType, refused, regex_of

VALID: Final = "valid"
INVALID: Final = "invalid"
"""The outputs with `invalid: route`."""

FORMAT_LENGTH: Final = 320
"""The longest e-mail address (RFC 5321): 64 characters, an @ and 255 more."""

_FORMAT: Final = "_re_pattern"

Check = Callable[[object], object]
"""Returns the event to emit. Raises `BadEvent`."""


def _schema(value: object) -> object:
    """Return the schema, read from a file when the value is a name."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        raise refused("bad_value", "a schema is a mapping, or the name of a JSON file that holds one")
    try:
        found: object = json.loads(Path(value).read_text(encoding="utf-8"))
    except OSError as error:
        failure = refused("bad_value", f"the file {value} cannot be read ({error.strerror})")
    except ValueError as error:
        failure = refused("bad_value", f"the file {value} is not JSON ({error})")
    else:
        if isinstance(found, dict):
            return found
        failure = refused("bad_value", f"the file {value} holds no schema: that is a mapping")
    raise failure


class ValidateOptions(Options):
    """The check: `model` or `schema`."""

    exactly_one = ("a validate", "model", "fits")

    model_config = ConfigDict(protected_namespaces=())

    model: FunctionField | None = Field(
        default=None, description="A pydantic model, module:Class; the validated event is passed on."
    )
    fits: Annotated[object, PlainValidator(_schema)] = Field(
        default=None, alias="schema", description="A JSON Schema (draft 7), or the name of its file."
    )
    invalid: Literal["fail", "drop", "route"] = Field(
        default="fail",
        description="Invalid events fail, are dropped, or go to the output `invalid`, beside `valid`.",
    )

    _regex: Regex = PrivateAttr(default="re2")

    @property
    def regex(self) -> Regex:
        """The regex engine for the patterns of the schema."""
        return self._regex

    @model_validator(mode="after")
    def _is_usable(self, info: ValidationInfo) -> "ValidateOptions":
        self._regex = regex_of(info)
        if self.model is not None and not isinstance(self.model, type | LazyFunction):
            raise refused(
                "bad_value", "it must be a class: a pydantic model, a dataclass or a TypedDict", path=["model"]
            )
        try:
            if self.fits is not None:
                _compiled(self.fits, self._regex)
            elif isinstance(self.model, type):
                _modelled(self.model)
        except BadEvent as error:
            failure = refused("bad_value", str(error), path=["schema" if self.model is None else "model"])
        else:
            return self
        raise failure


class Validate(ProducerConsumer[object, object], StageType):
    """Passes on valid events, in order; with a model, its validated data as plain values.

    With `invalid: route` it has two outputs; invalid events are emitted unchanged.
    """

    Options = ValidateOptions
    per_event = True
    known_discards = ("invalid",)
    outputs_with: ClassVar[Mapping[str, str]] = dict.fromkeys((VALID, INVALID), "invalid: route")

    def __init__(self, options: ValidateOptions) -> None:
        self._check = (
            _compiled(options.fits, options.regex) if options.model is None else _modelled(cast("type", options.model))
        )
        self._drops = options.invalid == "drop"
        self.outputs = (VALID, INVALID) if options.invalid == "route" else ()

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        return [event for made in self.handle_each(events) for event in made]

    @override
    def handle_each(self, events: list[object]) -> list[Sequence[object]]:
        made: list[Sequence[object]] = []
        for position, event in enumerate(events):
            try:
                passed = self._check(event)
            except BadEvent as error:
                made.append(self._refused(position, event, error))
            except Exception as error:  # noqa: BLE001 - a validator of the user, or an event that nests too deep
                self.fail_at(position, error)
                made.append(())
            else:
                made.append((Output(VALID, passed) if self.outputs else passed,))
        return made

    def _refused(self, position: int, event: object, error: BadEvent) -> Sequence[object]:
        """Handle an invalid event; return the events to emit."""
        if self.outputs:
            return (Output(INVALID, event),)
        if self._drops:
            self.discard(1, "invalid")
        else:
            self.fail_at(position, error)
        return ()


def _not_here(uri: str) -> object:
    """Refuse a reference to another document: a run must not depend on a server."""
    why = f"it refers to {uri}: write that below `definitions`, and refer to #/definitions/..."
    raise BadEvent(why)


_OTHER_SCHEMES: Final = dict.fromkeys(("http", "https", "ftp", "file", ""), _not_here)


class _Pattern:
    """Has the methods of `re.Pattern` that fastjsonschema calls."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.match = search  # all formats that it matches from the start begin with ^


def _run_patterns(check: Check, regex: Regex) -> None:
    """Replace the patterns of a compiled schema by RE2. Raises `PatternError` for one that RE2 cannot run.

    fastjsonschema compiles them with `re`, into a global of its generated code. Patterns of formats that RE2 cannot run
    are for names and addresses, which are no longer than FORMAT_LENGTH.
    """
    compiled: dict[str, object] = check.__globals__.get("REGEX_PATTERNS", {})
    for name, pattern in cast("list[tuple[str, re.Pattern[str]]]", list(compiled.items())):
        is_format = name.endswith(_FORMAT)
        try:
            if is_format or regex == "re2":
                compiled[name] = _Pattern(compile_search(pattern.pattern))
        except PatternError as error:
            if not is_format:
                why = f"the pattern {name!r} {error}: {USE_PYTHON}"
                raise PatternError(why) from None
            compiled[name] = _Pattern(partial(_short_match, pattern))


def _short_match(pattern: re.Pattern[str], text: str) -> bool:
    return len(text) <= FORMAT_LENGTH and pattern.match(text) is not None


def _compiled(schema: object, regex: Regex) -> Check:
    """Return the check of a JSON Schema. Raises `BadEvent` for an invalid schema."""
    try:
        check = fastjsonschema.compile(cast("dict[str, object]", schema), handlers=_OTHER_SCHEMES, use_default=False)
        _run_patterns(check, regex)
    except PatternError as error:
        raise BadEvent(str(error)) from None
    except Exception as error:  # noqa: BLE001 - a broken schema can raise anything
        why = f"this is no JSON Schema that can be used ({error})"
        raise BadEvent(why) from None

    def checked(event: object) -> object:
        try:
            check(event)
        except fastjsonschema.JsonSchemaValueException as error:
            why = f"the event does not fit the schema: {error.message.replace('data', 'it', 1)}"
            raise BadEvent(why) from None
        return event

    return checked


def _modelled(model: type) -> Check:
    """Return the check of a model. Raises `BadEvent` for another class."""
    try:
        adapter: TypeAdapter[object] = TypeAdapter(model)
    except Exception as error:  # noqa: BLE001 - a class can raise anything when pydantic inspects it
        why = f"{model.__name__} is no class of which pydantic can make a model ({str(error).partition(chr(10))[0]})"
        raise BadEvent(why) from None

    def checked(event: object) -> object:
        try:
            return adapter.dump_python(adapter.validate_python(event))
        except ValidationError as error:
            first, *others = error.errors(include_url=False, include_input=False)
            location = ".".join(map(str, first["loc"]))
            more = f", and {len(others)} more" if others else ""
            why = f"the event does not fit {model.__name__}: {sentence(location, dict(first))}{more}"
            raise BadEvent(why) from None

    return checked
