"""What the leader among the OS processes that share a store does for all jobs."""

from collections.abc import Callable

from headrace.jobs.jobs_settings import JobsSettings
from headrace.jobs.maintenance.discard import Discard
from headrace.jobs.maintenance.prune import Prune
from headrace.jobs.maintenance.settle import Settle
from headrace.jobs.maintenance.stage import Stage
from headrace.jobs.maintenance.upkeep import Chore
from headrace.jobs.running.exhausted import Exhausted
from headrace.jobs.running.rescue import Rescue
from headrace.jobs.stores.store import JobStore


def chores_of(
    store: JobStore, settings: JobsSettings, available: Callable[[str], None], exhausted: Exhausted
) -> list[Chore]:
    """Return the periodic tasks, made anew; `available` gets the name of each queue that has got due jobs."""
    return [
        Stage(store, settings.now, available),
        Rescue(store, exhausted.follow_up),
        Discard(store, exhausted.follow_up),
        Prune(store, settings.kept, settings.now),
        Settle(store),
        *(make(store) for make in settings.chores),
    ]
