"""The keys at the top of a config, of dead letters, and of the listener."""

import re
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from headrace.config.keys.stage import BufferKeys, DispatcherKeys, HandlingKeys, long_form
from headrace.dead_letters.errors import BadDeadLetters
from headrace.dead_letters.store import LEAST_SIZE_BYTES, DeadLetterLimits, path_of
from headrace.expressions.patterns import Regex
from headrace.http.address import Address
from headrace.pipeline.flow.subscription import CancelMode
from headrace.pipeline.topology.graph import STALL_SECONDS
from headrace.stages.options import (
    AddressField,
    CountField,
    DurationField,
    ExpressionField,
    Options,
    SizeField,
    TokenField,
    check_token,
    refused,
)
from headrace.units import UnitError, parse_duration

_BOUNDS: Final = DeadLetterLimits()


def _store(url: str) -> str:
    """Refuse the URL of an unknown store; nothing is opened."""
    try:
        path_of(url)
    except BadDeadLetters as error:
        failure = refused("bad_value", error.why, is_predicate=True)
    else:
        return url
    raise failure


class DeadLettersKeys(Options):
    """Events that failed for good stay in `store`; beyond the limits the oldest are dropped."""

    store: Annotated[str, AfterValidator(_store)]
    max_age: DurationField = _BOUNDS.max_age_seconds
    max_size: SizeField = _BOUNDS.max_size_bytes
    max_events: Annotated[CountField, Field(ge=1)] = _BOUNDS.max_events

    @model_validator(mode="after")
    def _keeps_some(self) -> "DeadLettersKeys":
        if self.max_age <= 0:
            raise refused("bad_value", "must be more than 0s", is_predicate=True, path=["max_age"])
        if self.max_size < LEAST_SIZE_BYTES:
            raise refused("bad_value", "must be 64KiB or more", is_predicate=True, path=["max_size"])
        return self

    def limits(self) -> DeadLetterLimits:
        """Return the limits of the store."""
        return DeadLetterLimits(self.max_age, self.max_size, self.max_events)


def _long_form(value: object) -> object:
    """Turn the short forms into the long one: a URL alone, or `off`."""
    if value == "off":
        return None
    if isinstance(value, str):
        return {"store": value}
    if not isinstance(value, dict):
        raise refused(
            "bad_value", "it must be a URL such as sqlite:///var/dead.db, a mapping with `store:`, or the word off"
        )
    return value


DeadLettersField = Annotated[
    DeadLettersKeys | None, BeforeValidator(_long_form, json_schema_input_type=str | DeadLettersKeys)
]
"""The value of the key, short or long; None for `off`."""


DEFAULT_ADDRESS = Address("127.0.0.1", 9470)

_NAME = re.compile(r"\w[\w.-]*")
_NAME_LENGTH = 100  # it becomes a label of every metric


def is_name(text: str) -> bool:
    """Return whether a pipeline or stage may have that name: at most 100 of A-Z, a-z, 0-9, `_`, `-` and `.`."""
    return len(text) <= _NAME_LENGTH and _NAME.fullmatch(text) is not None


NAME_RULE = (
    f"a name has letters, digits, _, - and . only, begins with none of the last two, and is {_NAME_LENGTH} long at most"
)


def _name(value: str) -> str:
    if not is_name(value):
        raise refused("bad_value", NAME_RULE)
    return value


def _subscriptions(value: object) -> object:
    """Turn the short forms of `subscribe_to` into the long one, a list of mappings."""
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | dict) for item in items):
        raise refused("bad_value", "it must be a stage's name, a mapping with `stage:`, or a list of those")
    return [{"stage": item} if isinstance(item, str) else item for item in items]


_OFF = frozenset({"no", "none", "never", "disabled"})


def _listener(value: object) -> object:
    """Turn the short forms of `listen` into the long one: an address alone, or `off`."""
    if value == "off":
        return None
    if value is False or (isinstance(value, str) and value in _OFF):
        raise refused("bad_value", "the word for a run that does not listen is off", suggestion="off")
    if isinstance(value, str):
        return {"address": value}
    if not isinstance(value, dict):
        raise refused("bad_value", "it must be host:port, a mapping with `address:`, or the word off")
    return value


def _stall_after(value: object) -> float | None:
    """Return seconds; None for the word off."""
    if value == "off":
        return None
    try:
        seconds = parse_duration(value)
    except UnitError as error:
        failure = refused("bad_value", error.why, hint=error.hint, is_predicate=True)
    else:
        if seconds > 0:
            return seconds
        failure = refused("bad_value", "must be above 0s, or the word off", is_predicate=True)
    raise failure


def _folders(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ListenKeys(Options):
    """The listener: its address, its token, and whether metrics need the token."""

    address: AddressField
    token: TokenField | None = None
    metrics_public: bool = False

    @model_validator(mode="after")
    def _needs_a_token(self) -> "ListenKeys":
        hint = 'write {address: ..., token: "${file:token}"}, or listen on 127.0.0.1'
        check_token(self.address, self.token, "address", hint)
        return self


class SubscriptionKeys(Options):
    """One producer that a stage subscribes to, with the options of the subscription."""

    stage: str
    max_demand: Annotated[CountField, Field(ge=1)] = 1000
    min_demand: Annotated[CountField, Field(ge=0)] | None = None
    cancel: CancelMode = "temporary"
    selector: ExpressionField | None = None
    partition: int | str | None = None
    weight: Annotated[CountField, Field(ge=1)] = 1
    output: str | None = Field(default=None, min_length=1)

    @field_validator("min_demand")
    @classmethod
    def _below_max(cls, value: int | None, info: ValidationInfo) -> int | None:
        most = info.data.get("max_demand")
        if value is not None and most is not None and value >= most:
            raise refused("bad_value", f"it must be less than max_demand, which is {most}")
        return value


class StageKeys(HandlingKeys):
    """The keys that all stages have; the other keys are options of the stage's type."""

    type: str
    subscribe_to: Annotated[tuple[SubscriptionKeys, ...], BeforeValidator(_subscriptions)] = ()
    dispatcher: Annotated[DispatcherKeys, BeforeValidator(long_form)] = DispatcherKeys()
    buffer: BufferKeys = BufferKeys()


class PipelineKeys(Options):
    """The keys at the top of a config; `jobs` and each stage have a check of their own."""

    name: Annotated[str, AfterValidator(_name)] | None = None
    listen: Annotated[ListenKeys | None, BeforeValidator(_listener)] = ListenKeys(address=DEFAULT_ADDRESS)
    python_path: Annotated[tuple[str, ...], BeforeValidator(_folders)] = ()
    jobs: object = None
    stall_after: Annotated[float | None, PlainValidator(_stall_after, json_schema_input_type=str)] = STALL_SECONDS
    dead_letters: DeadLettersField = None
    regex: Regex = "re2"
    stages: dict[str, object] = Field(default={}, min_length=1)
