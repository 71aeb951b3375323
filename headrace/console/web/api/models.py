"""Request and response models."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from headrace.pipeline.topology.graph import StageKind
from headrace.pipeline.topology.snapshot import StageSnapshot
from headrace.stages.options import Options


class ApiModel(Options):
    """The keys of a response: all are present, except keys with a default, and no others."""


class ErrorAnswer(ApiModel):
    """The reason of a rejection, in one sentence."""

    error: str


class ChangedModel(ApiModel):
    """The count of changed items."""

    changed: int


class DeadLetterErrorModel(ApiModel):
    """The error of a dead letter; with the traceback where one dead letter is shown."""

    type: str
    text: str
    traceback: str | None = None


class DeadLetterModel(ApiModel):
    """A dead letter. `event` is the event itself where `form` is json, and its text or its beginning otherwise."""

    id: int
    pipeline: str
    stage: str
    event: object
    is_shortened: bool
    form: str
    is_replayable: bool
    metadata: object
    error: DeadLetterErrorModel
    attempts: int
    at: datetime
    size_bytes: int
    replay_at: datetime | None
    is_taken: bool


class DeadLetterList(ApiModel):
    """A page of dead letters, and how many match in all."""

    total: int
    dead_letters: list[DeadLetterModel]


class Enqueued(ApiModel):
    """The job that does the work of a key, and whether it existed before."""

    job: int
    is_conflict: bool


class ProgressModel(ApiModel):
    """The progress that a job reports."""

    fraction: float
    note: str


class FoundValue(ApiModel):
    """The work is done."""

    state: Literal["found"]
    value: object
    at: datetime


class FailedWork(ApiModel):
    """The work was discarded or cancelled."""

    state: Literal["failed"]
    error: str


class PendingWork(ApiModel):
    """The work is in progress, or waits."""

    state: Literal["pending"]
    progress: ProgressModel | None


class NoWork(ApiModel):
    """No client has asked for that key."""

    state: Literal["not found"]


class Nothing(ApiModel):
    """An empty JSON object."""


class OpenApiDocument(Options):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow", frozen=True)

    openapi: str = Field(description="The version of OpenAPI.")


MOST: Final = 1_000_000_000
"""The limit of bounds: larger numbers mean no limit, and not every language that reads JSON has them."""

Count = Annotated[int, Field(strict=True, ge=1, le=MOST)]
CountOrNone = Annotated[int, Field(strict=True, ge=0, le=MOST)]


class SubscriptionValues(ApiModel):
    """The demand of a stage on a producer; `outstanding` events were requested and are not handled yet."""

    producer: str
    max_demand: int
    min_demand: int
    outstanding: int


class StageValues(ApiModel):
    """A stage, its state, and its counts.

    `type` is the type in the config, and null where the stage was made in Python. `concurrency` is null where
    batches are handled one after another, `buffer_limit` where there is no limit, and `buffer_bytes` where there is
    no limit in bytes. `output_of` is the stage that owns this side output, `errors` or `late`, and null for all
    other stages.
    """

    name: str
    type: str | None
    kind: StageKind
    output_of: str | None
    state: str
    is_paused: bool
    error: str | None
    stall: str | None
    events_received: int
    events_sent: int
    events_failed: int
    discarded: Mapping[str, int]
    lost: Mapping[str, int]
    redelivered: int
    dead_lettered: int
    restarts: int
    buffer_events: int
    buffer_limit: int | None
    buffer_bytes: int | None
    in_flight_events: int
    concurrency: int | None
    subscriptions: list[SubscriptionValues]

    @classmethod
    def of(cls, stage: StageSnapshot, type_name: str | None, redactor: Callable[[str], str]) -> "StageValues":
        """Return the values of a stage; `redactor` hides secrets in its error."""
        own = [field.name for field in fields(stage) if field.name in cls.model_fields]
        values = {name: getattr(stage, name) for name in own}
        values["type"] = type_name
        values["error"] = None if stage.error is None else redactor(stage.error)
        values["stall"] = None if stage.stall is None else str(stage.stall)
        values["subscriptions"] = [
            SubscriptionValues(
                producer=one.producer, max_demand=one.max_demand, min_demand=one.min_demand, outstanding=one.outstanding
            )
            for one in stage.subscriptions
        ]
        return cls.model_validate(values)


class StageList(ApiModel):
    """All stages of a run, and its state."""

    pipeline: str
    state: str
    stages: list[StageValues]


class DemandChange(BaseModel):
    """The new demand bounds on one producer; `min_demand` is half of `max_demand` unless it is given."""

    max_demand: Count = Field(description="Events that may be outstanding at a time.")
    min_demand: CountOrNone | None = Field(
        default=None, description="The number of outstanding events at which more are requested."
    )

    @model_validator(mode="after")
    def _fits(self) -> "DemandChange":
        if self.min_demand is not None and self.min_demand >= self.max_demand:
            raise PydanticCustomError("bad_value", "min_demand must be below max_demand")
        return self


class StageChange(Options):
    """Changes to a running stage. Omitted fields stay unchanged."""

    concurrency: Count | None = Field(default=None, description="Events that are handled at a time.")
    buffer_size: CountOrNone | None = Field(
        default=None, description="Events that it may buffer; null is no limit. Events beyond it are discarded."
    )
    demand: dict[str, DemandChange] = Field(default={}, description="The demand on each producer, by its name.")

    @property
    def is_resize(self) -> bool:
        """Whether the buffer size changes; null changes it to no limit."""
        return "buffer_size" in self.model_fields_set

    @model_validator(mode="after")
    def _has_change(self) -> "StageChange":
        if self.concurrency is None and not self.demand and not self.is_resize:
            raise PydanticCustomError("bad_value", "say what to change: concurrency, buffer_size or demand")
        return self
