"""Registries as stages, HTTP and commands name them: by their worker, with a key of one value or of several."""

import json
from collections.abc import Mapping
from typing import cast

from headrace.expressions import Expression
from headrace.jobs.errors import BadArguments, BadWorker
from headrace.jobs.jobs import Jobs
from headrace.jobs.results import Answer, FailedResult, Found, JobRegistry, Pending
from headrace.jobs.worker import AnyWorker

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


def as_values(answer: Answer[object]) -> dict[str, object]:
    """Return an answer as a dict; its `state` is found, pending, failed or "not found"."""
    if isinstance(answer, Found):
        return {"state": "found", "value": answer.value, "at": answer.at.isoformat()}
    if isinstance(answer, Pending):
        progress = answer.progress
        told = None if progress is None else {"fraction": progress.fraction, "note": progress.note}
        return {"state": "pending", "progress": told}
    if isinstance(answer, FailedResult):
        return {"state": "failed", "error": answer.error}
    return {"state": "not found"}


class Key:
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
        refusal = error
    else:
        return (key,), {}
    try:
        value: object = json.loads(key)
        registry.new(value)
    except (ValueError, RecursionError, BadArguments):
        raise refusal from None
    return (value,), {}


def _named(key: str) -> dict[str, object] | None:
    """Return the JSON object that a text is, or None."""
    try:
        value: object = json.loads(key) if key.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def encoded(registry: JobRegistry[..., object], answer: Answer[object]) -> dict[str, object]:
    """Return an answer as JSON values."""
    values = as_values(answer)
    if isinstance(answer, Found):
        values["value"] = registry.worker.results.encoded(answer.value)
    return values
