"""Job options, new jobs and registries for stages, HTTP and commands."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, cast

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from headrace.expressions import Expression, compile_template
from headrace.jobs.errors import BadArguments, BadWorker
from headrace.jobs.job import STATE_GROUPS, NewJob, StateGroup, Unique, UniqueField, after
from headrace.jobs.jobs import Jobs
from headrace.jobs.results import FailedResult, Found, JobRegistry, KeyedResult, Pending
from headrace.jobs.worker import AnyWorker
from headrace.jobs.worker_options import JobOptions
from headrace.stages.options import EXPRESSION_TEXT, DurationField, ExpressionField, Options, compiled, refused
from headrace.values import as_plain

_NAME_LENGTH: Final = 127  # Oban's check


class WorkerName(str):
    """The name of a worker; the config reports the location of an unknown one."""

    __slots__ = ()


class RecordingWorkerName(WorkerName):
    """The name of a worker that must record its results."""

    __slots__ = ()


class QueueName(str):
    """The name of a queue whose jobs a stage takes."""

    __slots__ = ()


def _args(value: object, info: ValidationInfo) -> Expression:
    if not isinstance(value, dict):
        raise refused("bad_value", "it must be a mapping of the worker's arguments to expressions")
    return compiled(compile_template, value, info)


WorkerField = Annotated[str, Field(min_length=1, max_length=_NAME_LENGTH), AfterValidator(WorkerName)]
"""A worker's name; its value is a `WorkerName`."""

RecordingWorkerField = Annotated[str, Field(min_length=1, max_length=_NAME_LENGTH), AfterValidator(RecordingWorkerName)]
"""The name of a worker that records its results."""

QueueField = Annotated[str, Field(min_length=1, max_length=_NAME_LENGTH), AfterValidator(QueueName)]
"""A queue's name; its value is a `QueueName`."""

ArgsField = Annotated[Expression, PlainValidator(_args), EXPRESSION_TEXT, WithJsonSchema({"type": "object"})]
"""A worker's arguments by name, as expressions over the event; a text is quoted inside: `"'eu'"`."""


class UniqueOptions(Options):
    """When a job is a duplicate of an existing one, and not inserted."""

    keys: tuple[str, ...] = Field(default=(), description="The arguments that are compared; all of them when empty.")
    fields: tuple[UniqueField, ...] = Field(
        default=("args", "queue", "worker"), min_length=1, description="The fields of two jobs that are compared."
    )
    period: DurationField | None = Field(
        default=None, description="How old the other job may be, as in 1h. Without: no limit."
    )
    states: StateGroup = Field(
        default="successful",
        description="The states in which the other job counts: all but those that failed for good.",
    )

    def unique(self) -> Unique:
        """Return the unique rule of `jobs`."""
        return Unique(
            fields=frozenset(self.fields),
            keys=frozenset(self.keys),
            period_seconds=self.period,
            states=STATE_GROUPS[self.states],
        )


class RegistryOptions(Options):
    """The registry, and its key: `key` or `args`, not both."""

    exactly_one = ("a registry", "key", "args")

    worker: RecordingWorkerField = Field(description="The worker of the registry; it must record its results.")
    key: ExpressionField | None = Field(
        default=None, description="The key, an expression: the worker's first argument."
    )
    args: ArgsField | None = Field(
        default=None, description="The key as several arguments by name, each an expression."
    )
    expires_in: DurationField | None = Field(
        default=None, description="How long a result is found, as in 1d. Without: no limit."
    )


def no_args() -> Expression:
    """Return the arguments of a worker without parameters."""
    return compile_template({})


def job_options(**options: object) -> JobOptions:
    """Return the options that are set; the worker's options apply for the others."""
    return cast("JobOptions", {name: value for name, value in options.items() if value not in (None, ())})


class JobMaker:
    """Makes the jobs of one worker."""

    def __init__(self, jobs: Jobs, worker: str, options: JobOptions, delay_seconds: float | None = None) -> None:
        """Raises `BadWorker` for invalid options."""
        self._now = jobs.now
        self._delay_seconds = delay_seconds
        found = jobs.catalogue.get(worker)
        self._worker = None if found is None else found.with_options(**options)
        self._plain = NewJob(worker, **cast("dict[str, Any]", options))

    def new(self, args: object) -> NewJob:
        """Return the job with these arguments, a mapping. Raises `BadArguments` when they do not fit the worker.

        For a worker that is unknown here, the store checks that they are JSON.
        """
        named = cast("Mapping[str, object]", args)
        job = self._plain_job(named) if self._worker is None else self._worker.new(**named)
        if self._delay_seconds is None:
            return job
        return replace(job, scheduled_at=after(self._now(), self._delay_seconds))

    def _plain_job(self, named: Mapping[str, object]) -> NewJob:
        """Return the job of an unknown worker, with its arguments as plain JSON."""
        return replace(self._plain, args=cast("dict[str, object]", as_plain(dict(named))))


Called = tuple[tuple[object, ...], dict[str, object]]
"""The positional and the keyword arguments of a worker."""


def registry_over(worker: AnyWorker, expires_in_seconds: float | None = None) -> JobRegistry[..., object]:
    """Return the registry of a worker's results. Raises `BadWorker` for a worker that records no results."""
    return JobRegistry(worker, expires_in_seconds=expires_in_seconds)


class RegistryCalls:
    """Calls the registry of a stage's options with the keys of events."""

    def __init__(self, options: RegistryOptions, jobs: Jobs) -> None:
        self._options = options
        self._jobs = jobs
        self._registry: JobRegistry[..., object]

    def open(self) -> None:
        """Find the registry. Raises `BadWorker` for an unknown worker, or one that records no results."""
        found = self._jobs.catalogue.get(self._options.worker)
        if found is None:
            raise BadWorker(self._options.worker, "no module that is listed has it: a registry needs its function")
        self._registry = registry_over(found, self._options.expires_in)

    def new(self, event: object) -> NewJob:
        """Return the job for the key of an event. Raises `BadArguments`."""
        args, named = self._arguments(event)
        return self._registry.new(*args, **named)

    async def find(self, event: object) -> KeyedResult[object]:
        """Return the entry for the key of an event. Raises `BadArguments`."""
        args, named = self._arguments(event)
        return await self._registry.find(*args, **named)

    def _arguments(self, event: object) -> Called:
        if self._options.key is not None:
            return (self._options.key(event),), {}
        named = None if self._options.args is None else self._options.args(event)
        return (), {str(name): value for name, value in named.items()} if isinstance(named, Mapping) else {}


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


def called_with(registry: JobRegistry[..., object], key: str) -> Called:
    """Return the worker's arguments for a key given as text.

    The first argument is the text, or else the text read as JSON. For a worker with several arguments, a JSON object
    has them by name. Raises `BadArguments`.
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
    """Return a text as a JSON object, or None."""
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
