"""`JobsSettings`, `QueueOptions`."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from headrace.clock import utc_now
from headrace.jobs.errors import BadQueue
from headrace.jobs.maintenance.maintenance import (
    KEPT,
    AdvanceSweep,
    DiscardExhausted,
    PeriodicTask,
    Pruner,
    Retention,
    Stager,
)
from headrace.jobs.rules.limits import QueueLimits, check_limit, check_queue
from headrace.jobs.running.encryption import ArgsCipher
from headrace.jobs.running.enqueue import EnqueueMiddleware, RunMiddleware
from headrace.jobs.running.failures import Exhausted, OnError
from headrace.jobs.running.sync import Lifeline
from headrace.jobs.stores.store import JobStore


def _node() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How many jobs of a queue run here at a time, and its limits over all processes and over time."""

    limit: int = 10
    limits: QueueLimits | None = None


def checked_queues(queues: Mapping[str, int | QueueOptions]) -> dict[str, QueueOptions]:
    """Return what is said about queues, a number being their limit. Raises `BadQueue`."""
    if not isinstance(queues, Mapping):
        raise BadQueue(queues, "queues", 'a dict of names and limits, such as {"default": 10}')
    options: dict[str, QueueOptions] = {}
    for name, value in queues.items():
        check_queue(name)
        options[name] = value if isinstance(value, QueueOptions) else QueueOptions(value)
        check_limit(name, options[name].limit)
    return options


@dataclass(frozen=True, slots=True)
class JobsSettings:
    """How a process runs jobs.

    `grace_seconds` is what running jobs are given at the end, before they are put back. `kept` says how long ended jobs
    stay. `processes` is how many OS processes run workers that need one, as many as there are cores when it is None.
    `periodic_tasks` are more tasks of the maintenance, made with the store.
    """

    node: str = field(default_factory=_node)
    grace_seconds: float = 15.0
    kept: Sequence[Retention] = KEPT
    enqueue_middleware: Sequence[EnqueueMiddleware] = ()
    run_middleware: Sequence[RunMiddleware] = ()
    processes: int | None = None
    periodic_tasks: Sequence[Callable[[JobStore], PeriodicTask]] = ()
    now: Callable[[], datetime] = utc_now
    cipher: ArgsCipher | None = None
    """With it the args of workers with `encrypted=True` are unreadable in the store."""
    on_error: OnError | None = None
    """Gets each failed attempt, beside the log: where an error tracker is called."""
    logs_failures: bool = True
    """Whether each failed attempt leaves a line in the log: WARNING where it is tried again, ERROR where not."""
    redact: Callable[[str], str] = str
    """Hides in the text of an error what the store must not hold."""


def periodic_tasks_of(
    store: JobStore, settings: JobsSettings, available: Callable[[str], None], exhausted: Exhausted
) -> list[PeriodicTask]:
    """Return the periodic tasks, made anew; `available` gets the name of each queue that has got due jobs."""
    return [
        Stager(store, settings.now, available),
        Lifeline(store, exhausted.follow_up),
        DiscardExhausted(store, exhausted.follow_up),
        Pruner(store, settings.kept, settings.now),
        AdvanceSweep(store),
        *(make(store) for make in settings.periodic_tasks),
    ]
