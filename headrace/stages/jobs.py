"""Job options, new jobs and registries as stages, HTTP and commands share them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, cast

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from headrace.expressions import Expression, compile_template
from headrace.jobs.errors import BadArguments, BadWorker
from headrace.jobs.job import STATE_GROUPS, NewJob, StateGroup, Unique, UniqueField, after
from headrace.jobs.jobs import Jobs
from headrace.jobs.results import FailedResult, Found, JobRegistry, KeyedResult, Pending
from headrace.jobs.worker import AnyWorker
from headrace.jobs.worker_options import JobOptions
from headrace.stages.options import DurationField, ExpressionField, Options, compiled, refused
from headrace.values import as_plain

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


class UniqueOptions(Options):
    """When a job is the double of one that is there, and so is not inserted."""

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


class RegistryOptions(Options):
    """Which registry, and which key of it: `key` or `args`, and never both."""

    worker: RecordingWorkerField = Field(description="The worker whose results are kept; it records them.")
    key: ExpressionField | None = Field(
        default=None, description="The key, an expression: the worker's first argument."
    )
    args: ArgsField | None = Field(
        default=None, description="The key where it is of several arguments, each an expression by its name."
    )
    expires_in: DurationField | None = Field(
        default=None, description="How long a result is found, as in 1d; for good without."
    )

    @model_validator(mode="after")
    def _has_one(self) -> "RegistryOptions":
        if (self.key is None) == (self.args is None):
            raise refused("bad_value", "a registry needs `key:` or `args:`, and not both")
        return self


@dataclass(frozen=True, slots=True)
class NewJobOptions:
    """What is said of jobs beside their worker; what is left out is as the worker says."""

    queue: str | None = None
    priority: int | None = None
    tags: Sequence[str] = ()
    unique: Unique | None = None
    delay_seconds: float | None = None


def no_args() -> Expression:
    """Return the arguments of a worker that needs none."""
    return compile_template({})


class JobMaker:
    """Makes the jobs of one worker."""

    def __init__(self, jobs: Jobs, worker: str, options: NewJobOptions) -> None:
        """Raises `BadWorker` for words that jobs cannot have."""
        self._now = jobs.now
        self._delay_seconds = options.delay_seconds
        found = jobs.catalogue.get(worker)
        self._worker = None if found is None else found.with_options(**_job_options(options))
        queue, priority = options.queue or "default", options.priority or 0
        self._plain = NewJob(worker, queue=queue, priority=priority, tags=options.tags, unique=options.unique)

    def new(self, args: object) -> NewJob:
        """Return the job of some arguments, a mapping of them. Raises `BadArguments` where they do not fit the worker.

        Where the worker is not known here, the store says whether they are JSON.
        """
        named = cast("Mapping[str, object]", args)
        job = self._plain_job(named) if self._worker is None else self._worker.new(**named)
        if self._delay_seconds is None:
            return job
        return replace(job, scheduled_at=after(self._now(), self._delay_seconds))

    def _plain_job(self, named: Mapping[str, object]) -> NewJob:
        """Return the job of a worker that is not known here: its arguments as any program reads them."""
        return replace(self._plain, args=cast("dict[str, object]", as_plain(dict(named))))


def _job_options(options: NewJobOptions) -> JobOptions:
    keywords: JobOptions = {}
    if options.queue is not None:
        keywords["queue"] = options.queue
    if options.priority is not None:
        keywords["priority"] = options.priority
    if options.tags:
        keywords["tags"] = options.tags
    if options.unique is not None:
        keywords["unique"] = options.unique
    return keywords


Called = tuple[tuple[object, ...], dict[str, object]]
"""With what a worker is called: by place, and by name."""


def registry_of(jobs: Jobs, worker: str, expires_in_seconds: float | None = None) -> JobRegistry[..., object]:
    """Return the registry of a worker's results. Raises `BadWorker` for one that is not there, or records none."""
    found = jobs.catalogue.get(worker)
    if found is None:
        raise BadWorker(worker, "no module that is listed has it: a registry needs its function")
    return registry_over(found, expires_in_seconds)


def registry_over(worker: AnyWorker, expires_in_seconds: float | None = None) -> JobRegistry[..., object]:
    """Return the registry of a worker's results. Raises `BadWorker` for one that records none."""
    return JobRegistry(worker, expires_in_seconds=expires_in_seconds)


def as_values(answer: KeyedResult[object]) -> dict[str, object]:
    """Return an answer as a dict; its `state` is found, pending, failed or "not found"."""
    if isinstance(answer, Found):
        return {"state": "found", "value": answer.value, "at": answer.at.isoformat()}
    if isinstance(answer, Pending):
        progress = answer.progress
        reported = None if progress is None else {"fraction": progress.fraction, "note": progress.note}
        return {"state": "pending", "progress": reported}
    if isinstance(answer, FailedResult):
        return {"state": "failed", "error": answer.error}
    return {"state": "not found"}


class RegistryKey:
    """What a key is made of: one expression, or one for each argument."""

    def __init__(self, key: Expression | None, args: Expression | None) -> None:
        self._key = key
        self._args = args

    def __call__(self, event: object) -> Called:
        """Return with what the worker is called for an event: by place, and by name."""
        if self._key is not None:
            return (self._key(event),), {}
        named = {} if self._args is None else self._args(event)
        return (), {str(name): value for name, value in named.items()} if isinstance(named, Mapping) else {}


def called_with(registry: JobRegistry[..., object], key: str) -> Called:
    """Return with what the worker is called for a key that came as text: by place, and by name.

    That is the text itself, or else the JSON it is, as the first argument; of a worker that takes several a JSON object
    is its arguments by name. Raises `BadArguments`.
    """
    named = _named(key) if registry.worker.arguments.are_many else None
    if named is not None:
        registry.new(**named)
        return (), named
    try:
        registry.new(key)
    except BadArguments as error:
        problem = error
    else:
        return (key,), {}
    try:
        value: object = json.loads(key)
        registry.new(value)
    except (ValueError, RecursionError, BadArguments):
        raise problem from None
    return (value,), {}


def _named(key: str) -> dict[str, object] | None:
    """Return the JSON object that a text is, or None."""
    try:
        value: object = json.loads(key) if key.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def encoded(registry: JobRegistry[..., object], answer: KeyedResult[object]) -> dict[str, object]:
    """Return an answer as JSON values."""
    values = as_values(answer)
    if isinstance(answer, Found):
        values["value"] = registry.worker.results.encoded(answer.value)
    return values
