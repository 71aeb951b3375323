"""Stage types for tests of the config: small, with options of every sort, and never run for long."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from headrace.config.stage_types import StageTypes
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.options import (
    AddressField,
    CountField,
    DurationField,
    ExpressionField,
    FunctionField,
    LabelNameField,
    MetricNameField,
    RateField,
    TemplateField,
)


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TickOptions(_Options):
    count: CountField = Field(default=3, ge=0)
    rate: RateField | None = None
    every: DurationField = 0.25
    template: TemplateField | None = None
    listen: AddressField | None = None
    path: str | list[str] | None = None
    decode: Literal["json", "text"] = "json"
    follow: bool = False
    ratio: float = 1.0
    password: str | None = None


class Tick(Producer[int]):
    """Emits `count` numbers and completes."""

    Options: ClassVar[type[BaseModel]] = TickOptions

    def __init__(self, options: TickOptions) -> None:
        self.options = options
        self.next = 0

    def handle_demand(self, demand: int) -> list[int]:
        events = list(range(self.next, min(self.next + demand, self.options.count)))
        self.next += len(events)
        if self.next >= self.options.count:
            self.complete()
        return events


class ChangeOptions(_Options):
    call: FunctionField | None = None
    where: ExpressionField | None = None
    set: TemplateField | None = None

    @model_validator(mode="after")
    def _one(self) -> "ChangeOptions":
        if self.call is not None and self.where is not None:
            raise PydanticCustomError("bad_value", "{why}", {"why": "`call` and `where` exclude each other"})
        return self


class Change(ProducerConsumer[object, object]):
    """Passes events on, changed by `call` or chosen by `where`."""

    Options: ClassVar[type[BaseModel]] = ChangeOptions

    def __init__(self, options: ChangeOptions) -> None:
        self.options = options

    def handle_events(self, events: list[object]) -> list[object]:
        if self.options.where is not None:
            return self.options.where.select(events)
        return [self.options.call(event) for event in events] if self.options.call else events


class CounterEntry(_Options):
    counter: MetricNameField
    value: ExpressionField | None = None
    labels: dict[LabelNameField, ExpressionField] = {}


class HistogramEntry(_Options):
    histogram: MetricNameField
    value: ExpressionField
    labels: dict[LabelNameField, ExpressionField] = {}
    buckets: list[float] | None = None


class GaugeEntry(_Options):
    gauge: MetricNameField
    value: ExpressionField


class TallyOptions(_Options):
    metrics: list[CounterEntry | GaugeEntry | HistogramEntry] = []


class Tally(Consumer[object]):
    """Keeps what it gets."""

    Options: ClassVar[type[BaseModel]] = TallyOptions
    kept: ClassVar[list[object]] = []

    def __init__(self, options: TallyOptions) -> None:
        self.options = options

    def handle_events(self, events: list[object]) -> None:
        self.kept.extend(events)


class LaxOptions(BaseModel):
    known: int = 1


class Lax(Consumer[object]):
    """A guest's class whose options do not forbid what they do not know."""

    Options: ClassVar[type[BaseModel]] = LaxOptions

    def __init__(self, options: LaxOptions) -> None:
        self.options = options


class Optionless(Consumer[object]):
    """A guest's class that forgot its options."""


def _broken() -> object:
    message = "No module named 'driver'"
    raise ModuleNotFoundError(message, name="driver")


LOADERS: Mapping[str, type] = {"tick": Tick, "change": Change, "tally": Tally, "lax": Lax}


def catalogue() -> StageTypes:
    """All fakes: four that work, and three that a guest got wrong."""
    good = {name: (lambda found=found: found) for name, found in LOADERS.items()}
    return StageTypes({**good, "optionless": lambda: Optionless, "no_stage": lambda: int, "broken": _broken})
