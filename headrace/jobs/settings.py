"""`JobsSettings` and `QueueOptions`: the settings of a service."""

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
    """How many jobs of a queue run here at a time, and its limits over all processes and per period."""

    limit: int = 10
    limits: QueueLimits | None = None


def checked_queues(queues: Mapping[str, int | QueueOptions]) -> dict[str, QueueOptions]:
    """Return the options of queues; a number is a limit. Raises `BadQueue`."""
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

    `grace_seconds` is the time for running jobs at a stop, before they are put back. `kept` says how long ended jobs
    are kept. `processes` is the number of OS processes for workers that need one; None is the number of cores.
    `periodic_tasks` make more tasks of the maintenance, each from the store.
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
    """Encrypts the args of workers with `encrypted=True`."""
    on_error: OnError | None = None
    """Gets each failed attempt, for example to call an error tracker."""
    logs_failures: bool = True
    """Whether each failed attempt is logged: as a WARNING if it is tried again, else as an ERROR."""
    redact: Callable[[str], str] = str
    """Removes secrets from the text of an error before the store gets it."""


def periodic_tasks_of(
    store: JobStore, settings: JobsSettings, available: Callable[[str], None], exhausted: Exhausted
) -> list[PeriodicTask]:
    """Return new periodic tasks; `available` is called with the name of each queue that got due jobs."""
    return [
        Stager(store, settings.now, available),
        Lifeline(store, exhausted.follow_up),
        DiscardExhausted(store, exhausted.follow_up),
        Pruner(store, settings.kept, settings.now),
        AdvanceSweep(store),
        *(make(store) for make in settings.periodic_tasks),
    ]
