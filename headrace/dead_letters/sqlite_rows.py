"""Rows of the SQLite table to dead letters and back, filters, queries, and keeping the table within its limits."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from headrace.database.queries import migrate, sql_condition, sql_text
from headrace.dead_letters.dead_letter import DeadLetter, EventForm, NewDeadLetter, Replay
from headrace.dead_letters.errors import NewerDeadLetters
from headrace.dead_letters.event_text import OVERHEAD_BYTES, EventText
from headrace.dead_letters.store import CHANGE_BATCH, DeadLetterFilter, DeadLetterLimits, LeasedDeadLetter

MIGRATIONS: Final = ("1_schema",)
"""Files that bring the tables to the version of their number, in order."""


query: Final = partial(sql_text, __package__)
"""Returns the text of a query."""

condition: Final = partial(sql_condition, __package__)
"""Returns the text of one condition of a filter."""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the missing tables. Raises NewerDeadLetters, and changes nothing then."""
    newer = migrate(connection, __package__, MIGRATIONS)
    if newer is not None:
        (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
        raise NewerDeadLetters(path, newer, len(MIGRATIONS))


COLUMNS: Final = (
    "id, pipeline, stage, substr(event, 1, :most), form, metadata, error_type, error, traceback, attempts, at, size, "
    "replay_at, taken_by, length(event) > :most"
)

_ALL: Final = 2**31 - 1
"""A limit above the length of any event."""


def to_text(time: datetime) -> str:
    """Return a time in UTC as text that sorts by time."""
    return f"{time.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def from_text(text: object) -> datetime:
    """Return the time of such a text."""
    return datetime.fromisoformat(str(text))


def ids_text(ids: Iterable[int]) -> str:
    """Return ids as JSON, for `json_each`."""
    return json.dumps(list(ids))


def values_of(dead_letter: NewDeadLetter, text: EventText, at: datetime, owner: str) -> Mapping[str, object]:
    """Return the values of a dead letter for the queries `insert` and `update_failed`."""
    return {
        "pipeline": dead_letter.pipeline,
        "stage": dead_letter.stage,
        "event": text.event,
        "form": text.form.value,
        "metadata": text.metadata,
        "error_type": text.error_type,
        "error": text.error,
        "traceback": text.traceback,
        "attempts": dead_letter.attempts,
        "at": to_text(at),
        "size": text.size,
        "rest": OVERHEAD_BYTES + sum(len(one.encode()) for one in (text.error_type, text.error, text.traceback)),
        "id": dead_letter.replay_of and dead_letter.replay_of.id,
        "lease": dead_letter.replay_of and dead_letter.replay_of.lease,
        "owner": owner,
    }


def to_dead_letter(row: Sequence[object]) -> DeadLetter:
    """Return the dead letter of a row of COLUMNS."""
    (
        number,
        pipeline,
        stage,
        event,
        form,
        metadata,
        error_type,
        error,
        trace,
        attempts,
        at,
        size,
        replay_at,
        by,
        more,
    ) = row
    return DeadLetter(
        id=int(str(number)),
        pipeline=str(pipeline),
        stage=str(stage),
        event=str(event),
        form=EventForm(str(form)),
        metadata=json.loads(str(metadata)),
        error_type=str(error_type),
        error=str(error),
        traceback=str(trace),
        attempts=int(str(attempts)),
        at=from_text(at),
        size=int(str(size)),
        replay_at=None if replay_at is None else from_text(replay_at),
        is_leased=by is not None,
        is_shortened=bool(more),
    )


def leased(connection: sqlite3.Connection, ids: Sequence[int]) -> list[LeasedDeadLetter]:
    """Return dead letters that were just leased, oldest first."""
    where = "id in (select value from json_each(:ids))"
    text = f"select {COLUMNS}, takes, rate from headrace_dead_letters where {where} order by id"  # noqa: S608 - all constants
    found: list[LeasedDeadLetter] = []
    for *row, lease, rate in connection.execute(text, {"most": _ALL, "ids": ids_text(ids)}):
        dead_letter = to_dead_letter(row)
        found.append(LeasedDeadLetter(dead_letter, Replay(dead_letter.id, lease), rate))
    return found


def find(
    connection: sqlite3.Connection, which: DeadLetterFilter, limit: int, order: str, most_characters: int | None = None
) -> list[DeadLetter]:
    """Return at most `limit` matching dead letters, by id; `order` is "asc" or "desc"."""
    where, values = _where(which)
    values = {**values, "most": _ALL if most_characters is None else most_characters, "limit": limit}
    text = f"select {COLUMNS} from headrace_dead_letters where {where} order by id {order} limit :limit"  # noqa: S608 - all constants
    return [to_dead_letter(row) for row in connection.execute(text, values)]


def find_ids(connection: sqlite3.Connection, which: DeadLetterFilter) -> list[int]:
    """Return the ids of all that match, oldest first."""
    where, values = _where(which)
    text = f"select id from headrace_dead_letters where {where} order by id"  # noqa: S608 - all constants
    return [row[0] for row in connection.execute(text, values)]


def count(connection: sqlite3.Connection, which: DeadLetterFilter) -> int:
    """Return how many dead letters match."""
    where, values = _where(which)
    text = f"select count(*) from headrace_dead_letters where {where}"  # noqa: S608 - all constants
    (found,) = connection.execute(text, values).fetchone()
    return int(found)


def _where(which: DeadLetterFilter) -> tuple[str, dict[str, object]]:
    values = dict(_conditions(which))
    return " and ".join(["true", *(f"({condition(name)})" for name in values)]), values


def _conditions(which: DeadLetterFilter) -> Iterator[tuple[str, object]]:
    for name in ("ids", "stages", "errors"):
        among = getattr(which, name)
        if among is not None:
            yield name, json.dumps(sorted(among))
    if which.before is not None:
        yield "before", to_text(which.before)
    for name in ("pipeline", "before_id", "is_replayable", "is_waiting_for_replay"):
        value = getattr(which, name)
        if value is not None:
            yield name, value


DROPPED_AT_ONCE: Final = 5_000
"""The most dead letters that one transaction drops for one limit; the next one drops the rest."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The number of dead letters that were dropped for each limit, and that are left."""

    age: int
    count: int
    size: int
    dead_letters: int
    size_bytes: int


def trim(connection: sqlite3.Connection, bounds: DeadLetterLimits, now: datetime) -> Trimmed:
    """Delete dead letters that are too old, then the oldest ones until the rest is within the other limits."""
    oldest = to_text(now - timedelta(seconds=bounds.max_age_seconds))
    aged = connection.execute(query("expired"), (oldest, DROPPED_AT_ONCE)).rowcount
    dead_letters, size = connection.execute(query("totals")).fetchone()
    counted = sized = 0
    while (dead_letters > bounds.max_events or size > bounds.max_size_bytes) and counted + sized < DROPPED_AT_ONCE:
        dropped: list[int] = []
        for number, its_size in connection.execute(query("oldest"), (CHANGE_BATCH,)):
            if dead_letters > bounds.max_events:
                counted += 1
            elif size > bounds.max_size_bytes:
                sized += 1
            else:
                break
            dropped.append(number)
            dead_letters, size = dead_letters - 1, size - its_size
        if not dropped:
            break
        connection.execute(query("delete"), (ids_text(dropped),))
    return Trimmed(aged, counted, sized, dead_letters, size)
