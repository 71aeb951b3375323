"""The words that options about jobs are written in; the config floor looks up the names that they mark."""

from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from headrace.expressions import Expression, compile_template
from headrace.jobs.job import STATE_GROUPS, StateGroup, Unique, UniqueField
from headrace.stages.options import DurationField, compiled, refused

_NAME_LENGTH: Final = 127  # Oban's check


class WorkerName(str):
    """The name of a worker; the config floor says where it stands for one that is not there."""

    __slots__ = ()


class RecordingWorkerName(WorkerName):
    """The name of a worker whose results are asked for, so that it must record them."""

    __slots__ = ()


class QueueName(str):
    """The name of a queue that a stage takes jobs of."""

    __slots__ = ()


def _args(value: object, info: ValidationInfo) -> Expression:
    if not isinstance(value, dict):
        raise refused("bad_value", "it must be a mapping of the worker's arguments to expressions")
    return compiled(compile_template, value, info)


def _text_of(expression: Expression) -> str:
    return expression.text


WorkerField = Annotated[str, Field(min_length=1, max_length=_NAME_LENGTH), AfterValidator(WorkerName)]
"""A worker's name; its value is a `WorkerName`."""

RecordingWorkerField = Annotated[str, Field(min_length=1, max_length=_NAME_LENGTH), AfterValidator(RecordingWorkerName)]
"""The name of a worker that records its results."""

QueueField = Annotated[str, Field(min_length=1, max_length=_NAME_LENGTH), AfterValidator(QueueName)]
"""A queue's name; its value is a `QueueName`."""

ArgsField = Annotated[
    Expression, PlainValidator(_args), PlainSerializer(_text_of, when_used="json"), WithJsonSchema({"type": "object"})
]
"""A worker's arguments by name, each an expression that reads the event; a literal is quoted inside: `"'eu'"`."""


class UniqueOptions(BaseModel):
    """When a job is the double of one that is there, and so is not inserted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[str, ...] = Field(default=(), description="The arguments that are compared; all of them when empty.")
    fields: tuple[UniqueField, ...] = Field(
        default=("args", "queue", "worker"), min_length=1, description="What of two jobs is compared."
    )
    period: DurationField | None = Field(
        default=None, description="How long ago the other one may have been inserted, as in 1h; however long without."
    )
    states: StateGroup = Field(
        default="successful",
        description="The states in which the other one counts: all but those that failed for good.",
    )

    def unique(self) -> Unique:
        """Return the same as jobs have it."""
        return Unique(
            fields=frozenset(self.fields),
            keys=frozenset(self.keys),
            period_seconds=self.period,
            states=STATE_GROUPS[self.states],
        )
