"""The crontab: the leader enqueues the jobs of due entries, once each time, however many processes there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from headrace.errors import HeadraceError
from headrace.jobs.errors import BadCrontab
from headrace.jobs.job import Inserted, NewJob, to_text
from headrace.jobs.maintenance.maintenance import LEASE_SECONDS, RENEW_SECONDS
from headrace.jobs.rules.cron import ANY_ZONE, Cron
from headrace.jobs.stores.store import Inserts
from headrace.telemetry.events import LOG

CatchUp = Literal["none", "last", "all"]
"""Which runs are enqueued late when their times passed without a leader: none, the last one, or all."""

CHECK_SECONDS: Final = 1.0
"""The longest time between two checks, since the clock may be set."""

LATE: Final = timedelta(seconds=60)
"""A run that is at most this late was not missed: a deploy, or the choice of a new leader, takes as long."""

BOOT: Final = timedelta(seconds=LEASE_SECONDS + 2 * RENEW_SECONDS)
"""A process that leads so soon after its start counts as a reboot: no other process led before it."""

_FIRST_SEEN: Final = "first seen: "
"""Prefix of the name that records the first check of an entry: while it equals the last run, the entry never ran."""

CORRECTION: Final = timedelta(hours=3)
"""A clock that is set back by so much was wrong before: all entries follow the new time, as in Debian's cron."""

OFTEN: Final = timedelta(hours=1)
"""An entry that is due more often follows the new time at once, however little the clock was set back."""


@dataclass(frozen=True, slots=True)
class CronEntry:
    """One line of the crontab: a schedule, a worker and its args.

    The store keeps its last run under its `name`, by default its worker and schedule. A `queue` of None is the
    worker's own. `catch_up` "all" enqueues the last `catch_up_limit` missed times at most.
    """

    schedule: str
    worker: str
    args: Mapping[str, object] = field(default_factory=dict)
    queue: str | None = None
    timezone: str = ANY_ZONE
    name: str = ""
    catch_up: CatchUp = "none"
    catch_up_limit: int = 100

    def __post_init__(self) -> None:
        """Raises `BadCrontab`."""
        if not self.name:
            object.__setattr__(self, "name", f"{self.worker} {self.schedule}")
        if self.catch_up not in get_args(CatchUp):
            raise BadCrontab(self.name, f"has the catch_up {self.catch_up!r}: write none, last or all")
        if self.catch_up_limit < 1:
            raise BadCrontab(self.name, f"has the catch_up_limit {self.catch_up_limit}: write at least 1")


@dataclass(frozen=True, slots=True)
class CronStatus:
    """When an entry was last enqueued and when it is due next, in aware UTC; None is never."""

    entry: CronEntry
    last_at: datetime | None
    next_at: datetime | None


def plain_job(entry: CronEntry) -> NewJob:
    """Return the job of an entry without the options of its worker."""
    return NewJob(entry.worker, entry.args, entry.queue or "default")


@dataclass(slots=True, eq=False)
class _Watched:
    """An entry, and the time up to which its runs were enqueued: None before the first check."""

    entry: CronEntry
    cron: Cron
    done_until: datetime | None = None
    next_at: datetime | None = None
    is_logged: bool = False


class Crontab:
    """Enqueues the jobs of due entries, as a periodic task of the maintenance.

    The last run is recorded in the same transaction, so two processes enqueue no time twice. A new entry starts at its
    first check: it has missed nothing.

    A clock that is set back is logged. If it is set back by less than 3 hours, entries that are due each hour or less
    often wait for the old time, so they enqueue no time twice. All other entries follow the new time at once.
    """

    name = "crontab"

    def __init__(
        self,
        store: Inserts,
        entries: Sequence[CronEntry],
        now: Callable[[], datetime],
        new_job: Callable[[CronEntry], NewJob] = plain_job,
    ) -> None:
        """Raises `BadCron`, and `BadCrontab` for two entries of one name."""
        self._store = store
        self._now = now
        self._new_job = new_job
        self._started_at = self._latest = now()
        self._watched: dict[str, _Watched] = {}
        for entry in entries:
            if entry.name in self._watched:
                raise BadCrontab(entry.name, "is there twice: give one of them another name")
            self._watched[entry.name] = _Watched(entry, Cron(entry.schedule, entry.timezone))

    async def run(self) -> float:
        """Enqueue the jobs of due entries; return the seconds until the next run.

        An entry that fails does not stop the others; the first error is raised at the end.
        """
        now = self._now()
        if self._latest - now > LATE:  # it was set back: the next times no longer hold
            for one in self._watched.values():
                one.done_until = one.next_at = None
        self._latest = now
        failure: HeadraceError | None = None
        if due := [one for one in self._watched.values() if _is_due(one, now)]:
            last_runs = await self._store.last_runs()
            for one in due:
                try:
                    await self._enqueue_due(one, last_runs.get(one.entry.name), now)
                except HeadraceError as error:
                    failure = failure or error
        if failure is not None:
            raise failure
        return self._seconds_to_next(now)

    async def run_now(self, name: str) -> Inserted:
        """Enqueue a job of an entry now. Raises `BadCrontab` if there is none of that name."""
        if name not in self._watched:
            raise BadCrontab(name, f"is not there: write one of {', '.join(sorted(self._watched)) or 'none at all'}")
        (inserted,) = await self._store.insert([self._job(self._watched[name].entry, self._now())])
        return inserted

    async def status(self) -> list[CronStatus]:
        """Return the status of each entry, in their order."""
        now, last_runs = self._now(), await self._store.last_runs()
        return [
            CronStatus(one.entry, _last_at(name, last_runs), one.cron.next_after(max(now, last_runs.get(name, now))))
            for name, one in self._watched.items()
        ]

    async def _enqueue_due(self, one: _Watched, last_run: datetime | None, now: datetime) -> None:
        """Enqueue the due jobs of an entry."""
        if one.cron.is_reboot:
            if now - self._started_at <= BOOT:
                await self._store.insert_once(one.entry.name, self._started_at, self._job(one.entry, self._started_at))
        elif last_run is None and one.done_until is None:
            # In this order: without the first check, the last run would count as a run of the entry.
            await self._store.record_run(_FIRST_SEEN + one.entry.name, now)
            await self._store.record_run(one.entry.name, now)
        else:
            if last_run is not None and last_run - now > LATE:
                last_run = await self._set_back(one, last_run, now)
            for time in _missed(one, max(filter(None, (last_run, one.done_until))), now):
                await self._store.insert_once(one.entry.name, time, self._job(one.entry, time))
        one.done_until = max(filter(None, (last_run, one.done_until, now)))
        one.next_at = one.cron.next_after(one.done_until)

    async def _set_back(self, one: _Watched, last_run: datetime, now: datetime) -> datetime:
        """Log that the clock was set back; return the entry's last run, which may be set back as well."""
        goes_on = last_run - now >= CORRECTION or _is_often(one.cron, now)
        if not one.is_logged or goes_on:
            one.is_logged = True
            does = "goes on by the new time" if goes_on else "enqueues nothing until then"
            text = "the clock was set back: the entry %r of the crontab was last enqueued at %s, and %s"
            LOG.warning(text, one.entry.name, last_run.isoformat(), does)
        if goes_on and await self._store.set_last_run_back(one.entry.name, last_run, now):
            return now
        return last_run

    def _job(self, entry: CronEntry, at: datetime) -> NewJob:
        """Return the job of one time; its meta has Oban's keys, and the time as `cron_at`."""
        job = self._new_job(entry)
        cron = {
            "cron": True,
            "cron_expr": entry.schedule,
            "cron_name": entry.name,
            "cron_tz": entry.timezone,
            "cron_at": to_text(at),
        }
        return replace(job, meta={**job.meta, **cron})

    def _seconds_to_next(self, now: datetime) -> float:
        times = [one.next_at for one in self._watched.values() if one.next_at is not None]
        return min([CHECK_SECONDS, *(max((time - now).total_seconds(), 0.0) for time in times)])


def _is_due(one: _Watched, now: datetime) -> bool:
    """Return whether an entry must be checked: it never was, or it is due."""
    return one.done_until is None or (one.next_at is not None and one.next_at <= now)


def _last_at(name: str, last_runs: Mapping[str, datetime]) -> datetime | None:
    """Return the time for which an entry was last enqueued; None if it never was."""
    last_run = last_runs.get(name)
    return None if last_run == last_runs.get(_FIRST_SEEN + name) else last_run


def _missed(one: _Watched, after: datetime, now: datetime) -> list[datetime]:
    """Return the times after `after` that must be enqueued now, oldest first."""
    if one.entry.catch_up == "none":
        after = max(after, now - LATE)
    return one.cron.latest_between(after, now, one.entry.catch_up_limit if one.entry.catch_up == "all" else 1)


def _is_often(cron: Cron, now: datetime) -> bool:
    """Return whether an entry is due more often than each hour, counted from `now`."""
    first = cron.next_after(now)
    second = first and cron.next_after(first)
    return first is not None and second is not None and second - first < OFTEN
