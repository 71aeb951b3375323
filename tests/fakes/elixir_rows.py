"""Rows of the jobs table as Oban's Lite engine leaves them: JSON in text, errors as text in a list."""

import json
import sqlite3
from pathlib import Path
from typing import Final

LITE_TABLE: Final = """
create table "oban_jobs" (
  "id" integer primary key autoincrement, "state" text default 'available' not null,
  "queue" text default 'default' not null, "worker" text not null, "args" text default ('{}') not null,
  "meta" text default ('{}') not null, "tags" text default ('[]') not null, "errors" text default ('[]') not null,
  "attempt" integer default 0 not null, "max_attempts" integer default 20 not null,
  "priority" integer default 0 not null, "inserted_at" text default CURRENT_TIMESTAMP not null,
  "scheduled_at" text default CURRENT_TIMESTAMP not null, "attempted_at" text,
  "attempted_by" text default ('[]') not null, "cancelled_at" text, "completed_at" text, "discarded_at" text
);
create index "oban_jobs_state_queue_priority_scheduled_at_id_index"
  on "oban_jobs" ("state", "queue", "priority", "scheduled_at", "id");
"""
"""What the migration of the Lite engine makes."""

FAILED: Final = "** (ArgumentError) ex job failed on purpose\n    oban_demo.exs:16: Peer.Boom.perform/1\n"

ROWS: Final[list[dict[str, object]]] = [
    {
        "id": 1,
        "args": {"n": 1, "deep": {"list": [1, None, 2.5]}},
        "tags": ["peer"],
        "state": "completed",
        "worker": "Peer.Echo",
        "attempt": 1,
        "inserted_at": "2026-11-24T02:58:31.47641",
        "scheduled_at": "2026-11-24T02:58:31.47641",
        "attempted_at": "2026-11-24T02:58:31.497577",
        "attempted_by": ["ex-node"],
        "completed_at": "2026-11-24T02:58:31.507393",
    },
    {
        "id": 2,
        "state": "retryable",
        "worker": "Peer.Boom",
        "attempt": 1,
        "max_attempts": 3,
        "errors": [json.dumps({"at": "2026-11-24T02:58:31.513840Z", "attempt": 1, "error": FAILED})],
        "inserted_at": "2026-11-24 02:58:31",
        "scheduled_at": "2026-11-24T02:58:49.513845Z",
        "attempted_at": "2026-11-24T02:58:31.497577Z",
        "attempted_by": ["ex-node"],
    },
    {
        "id": 3,
        "state": "executing",
        "worker": "Peer.Long",
        "attempt": 1,
        "inserted_at": "2026-11-24T02:58:31.515787Z",
        "scheduled_at": "2026-11-24T02:58:31.515787Z",
        "attempted_at": "2026-11-24T02:58:31.517238Z",
        "attempted_by": ["ex-node"],
    },
    {
        "id": 4,
        "worker": "Peer.Echo",
        "args": {"id": 1},
        "inserted_at": "2026-11-24 02:58:32",
        "scheduled_at": "2026-11-24 02:58:32",
    },
]
"""One that is done, one that failed once, one that an Elixir node runs, and one from a hand at a SQL prompt."""


def elixir_file(path: Path) -> None:
    """Make a file as an Elixir application leaves it."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(LITE_TABLE)
        for row in ROWS:
            values = {
                name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in row.items()
            }
            names = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            connection.execute(f"insert into oban_jobs ({names}) values ({marks})", values)  # noqa: S608 - our own
        connection.commit()
    finally:
        connection.close()


def raw(path: Path, text: str) -> list[tuple[object, ...]]:
    """Run a statement beside whoever has the file open."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(text).fetchall()
        connection.commit()
        return rows
    finally:
        connection.close()
