"""`Options` and its field types; `StageType`, the contract between a stage class and the config.

A stage's `Options` model uses the field types. Each raises `PydanticCustomError`, whose context the config reads:
`why` (a sentence, or, with `is_predicate`, the part after the key), `hint` (the remedy), `suggestion` (a better
spelling), `column` (from 1, inside the text) and `path` (keys below the option).
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, ClassVar, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from headrace.expressions import Expression, ExpressionError, compile_expression, compile_template
from headrace.expressions.patterns import Regex
from headrace.http.address import MAX_PORT, MIN_TOKEN_LENGTH, Address, has_bad_port, parse_address
from headrace.stages.functions import SHAPE, Function, FunctionError, LazyFunction, import_function, parse_function
from headrace.units import Rate, UnitError, format_duration, format_size, parse_duration, parse_rate, parse_size

T = TypeVar("T")

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_OWN_PREFIX = "headrace_"
_HOW_TO_MAKE_ONE = "make one with: openssl rand -hex 16"


class MetricName(str):
    """The name of a metric that a stage exports; the config finds it anywhere in a stage's options."""

    __slots__ = ()


def refused(code: str, why: str, **context: object) -> PydanticCustomError:
    """Return the error of an option with the sentence `why` and the context, without its empty values."""
    kept = {key: value for key, value in context.items() if value}
    return PydanticCustomError(code, "{why}", {"why": why, **kept})


def regex_of(info: ValidationInfo) -> Regex:
    """Return the regex engine of the config, from the context: `{"regex": "python"}`."""
    found: Regex = (info.context or {}).get("regex", "re2")
    return found


def compiled(make: Callable[[T, Regex], Expression], spec: T, info: ValidationInfo) -> Expression:
    """Compile `spec` with `make`; an `ExpressionError` becomes the error of the option."""
    try:
        return make(spec, regex_of(info))
    except ExpressionError as error:
        failure = refused("bad_expression", error.why, hint=error.hint, column=error.column, path=list(error.path))
    raise failure


def _expression(value: object, info: ValidationInfo) -> Expression:
    if isinstance(value, str | int | float):
        return _template(value, info)
    raise refused("bad_expression", "an expression is text such as event.total, or a number")


def _template(value: object, info: ValidationInfo) -> Expression:
    if isinstance(value, str):
        return compiled(compile_expression, value, info)
    return compiled(compile_template, value, info)


def _function(value: object, info: ValidationInfo) -> Function:
    """Import the function; with the context `{"import": False}` only check its name."""
    if callable(value):
        return value
    if not isinstance(value, str):
        raise refused("bad_import", SHAPE)
    try:
        name = parse_function(value)
        return import_function(name) if (info.context or {}).get("import", True) else LazyFunction(name)
    except FunctionError as error:
        failure = refused("bad_import", error.why, column=error.column, suggestion=error.suggestion)
    raise failure


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    address = parse_address(value) if isinstance(value, str) else None
    if isinstance(value, str) and has_bad_port(value):
        raise refused("bad_value", f"a port is a number from 1 to {MAX_PORT}, or 0 for any free one")
    if address is None:
        raise refused("bad_value", "an address is host:port, as in 127.0.0.1:9125")
    return address


def _token(value: SecretStr) -> SecretStr:
    """Return the token without white space around it, which a client cannot send."""
    return SecretStr(value.get_secret_value().strip())


def check_token(address: Address, token: SecretStr | None, location: str, hint: str) -> None:
    """Refuse a blank token, and an address that others can reach without a token or with a short one.

    The finding is at `location`, the key of the address: at a token from a variable, no reason would be shown.
    """
    if token is None and not address.is_loopback:
        raise refused("token_needed", "others can reach this address, so it needs a token", hint=hint, path=[location])
    if token is not None and not address.is_loopback and len(token) < MIN_TOKEN_LENGTH:
        why = f"others can reach this address, so its token needs {MIN_TOKEN_LENGTH} characters or more"
        raise refused("token_needed", why, hint=_HOW_TO_MAKE_ONE, path=[location])
    if token is not None and not token:
        raise refused("token_needed", "the token of this address is blank", hint=_HOW_TO_MAKE_ONE, path=[location])


def _metric_name(value: str) -> MetricName:
    if not _METRIC_NAME.fullmatch(value):
        raise refused("bad_metric", "a metric's name has letters, digits and _ only, and begins with no digit")
    if value.startswith(_OWN_PREFIX):
        raise refused("bad_metric", f"names beginning with {_OWN_PREFIX} are for headrace's own metrics")
    return MetricName(value)


def _label_name(value: str) -> str:
    if not _LABEL_NAME.fullmatch(value):
        raise refused("bad_metric", "a label's name has letters, digits and _ only, and begins with no digit")
    if value.startswith("__") or value in {"le", "quantile"}:
        raise refused("bad_metric", "Prometheus reserves the label names le and quantile, and those beginning with __")
    return value


def _unit(parse: Callable[[object], T], value: object) -> T:
    try:
        return parse(value)
    except UnitError as error:
        failure = refused("bad_value", error.why, hint=error.hint, is_predicate=True)
    raise failure


def _rate(value: object) -> Rate:
    return value if isinstance(value, Rate) else _unit(parse_rate, value)


def _no_bool(value: object) -> object:
    """Refuse a boolean, which Python accepts as 1 or 0."""
    if isinstance(value, bool):
        raise refused("bad_value", "this must be a number, and not true or false")
    return value


def _rate_text(rate: Rate) -> str:
    return f"{rate.events:g}/{format_duration(rate.period_seconds)}"


def _path(value: str) -> str:
    if "\0" in value:
        raise refused("bad_value", "a path may hold no NUL character: take the \\0 out of it")
    return value


EXPRESSION_TEXT: Final = PlainSerializer(lambda expression: expression.text, when_used="json")
"""Writes an expression as its text."""

ExpressionField = Annotated[
    Expression,
    PlainValidator(_expression),
    EXPRESSION_TEXT,
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
"""One expression; a number or a boolean is its own value."""

TemplateField = Annotated[Expression, PlainValidator(_template), EXPRESSION_TEXT, WithJsonSchema({})]
"""A mapping or list whose strings are expressions; each event gets a new value."""

FunctionField = Annotated[
    Function, PlainValidator(_function), WithJsonSchema({"type": "string", "pattern": r"^[\w.]+:[\w.]+$"})
]
"""A Python function, `module:function`, imported when the options are checked."""

DurationField = Annotated[
    float,
    PlainValidator(partial(_unit, parse_duration)),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""Seconds, written with a unit: `250ms`, `1h30m`."""

SizeField = Annotated[
    int,
    PlainValidator(partial(_unit, parse_size)),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
"""Bytes, written with a unit: `10MiB`."""

RateField = Annotated[
    Rate,
    PlainValidator(_rate),
    PlainSerializer(_rate_text, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "/"}),
]
"""Events per time: `100/s`."""

AddressField = Annotated[
    Address,
    PlainValidator(_address),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^.+:\d+$"}),
]
"""`host:port`."""

PathField = Annotated[str, Field(min_length=1), AfterValidator(_path)]
"""The path of a file."""

TokenField = Annotated[SecretStr, AfterValidator(_token)]
"""The token that clients must show, without white space around it."""

MetricNameField = Annotated[str, AfterValidator(_metric_name)]
"""The name under which a metric is exported; its value is a `MetricName`."""

LabelNameField = Annotated[str, AfterValidator(_label_name)]
"""The name of a label."""

PartField = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=1)]
"""A part of a whole, from 0 to 1."""

CountField = Annotated[int, BeforeValidator(_no_bool)]
"""A whole number, and not `true`; narrow it with `Field(ge=1)`."""


class Options(BaseModel):
    """Options of a stage, or keys of a mapping: unknown keys are refused, and values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exactly_one: ClassVar[tuple[str, str, str] | None] = None
    """A name for errors, as in "a map", and two keys, of which a config sets exactly one."""

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        if self.exactly_one is not None:
            subject, *keys = self.exactly_one
            if sum(getattr(self, key) is not None for key in keys) != 1:
                one, other = (type(self).model_fields[key].alias or key for key in keys)
                raise refused("bad_value", f"{subject} needs `{one}:` or `{other}:`, and not both")
        return self


class NoOptions(Options):
    """The options of a stage type that has none: any key but the common ones is a finding."""


class StageType:
    """The attributes of a stage class that the config reads, with their defaults.

    A class outside headrace may derive from it, or only have some of the attributes.
    """

    Options: ClassVar[type[BaseModel]] = NoOptions
    """The model of the stage's options, which `__init__` gets; a class with `NoOptions` gets none."""

    needs_jobs: ClassVar[bool] = False
    """Whether `__init__` also gets the `Jobs` of the run, so that the config must have the block `jobs:`."""

    awaits_jobs: ClassVar[bool] = False
    """Whether the stage needs running jobs to handle its events. A drain then claims jobs until the stages have
    ended."""

    @staticmethod
    def has_waiting_sender(options: BaseModel) -> bool:  # noqa: ARG004 - the default needs no options
        """Whether a sender waits for the outcome of its event before it sends the next event."""
        return False

    @staticmethod
    def writes_to_stdout(options: BaseModel) -> bool:  # noqa: ARG004 - a default that asks nothing
        """Whether the stage writes events to standard output."""
        return False

    def acknowledge_when_stored(self) -> None:
        """Called on a source with a buffer on disk: an event is acknowledged once the buffer has stored it."""
