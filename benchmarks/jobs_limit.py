"""The smallest queue, a limit for the speed of jobs: one SQLite writer thread with group commit, used from asyncio."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Literal, Self

from headrace.jobs.stores.sqlite_store import query

Mode = Literal["normal", "full"]
Row = tuple[int, str]

AT_ONCE: Final = 100
"""Jobs of one claim; they are acknowledged in one transaction."""


@dataclass(frozen=True, slots=True)
class Table:
    """The SQL of a queue. `insert_many` and `end` take a list as JSON, or the values of one row."""

    made: str
    insert: str
    insert_many: str
    claim: str
    end: str
    left: str
    is_by_row: bool = False


OBAN: Final = Table(
    query("1_schema"),
    "insert into oban_jobs (worker, args) values ('noop', ?)",
    "insert into oban_jobs (worker, args) select 'noop', value from json_each(?)",
    """
    update oban_jobs set state = 'executing', attempt = attempt + 1, attempted_at = current_timestamp
    where id in (
      select id from oban_jobs where state = 'available' and queue = 'default'
      order by priority, scheduled_at, id limit ?
    )
    returning id, args
    """,
    """
    update oban_jobs set state = 'completed', completed_at = current_timestamp
    where id in (select value from json_each(?)) and +state = 'executing'
    """,
    "select count(*) from oban_jobs where state <> 'completed'",
)
"""Oban's table, which the stores of headrace share with Elixir."""

BY_ROW: Final = replace(
    OBAN,
    insert_many=OBAN.insert,
    end="""
    update oban_jobs set state = 'completed', completed_at = current_timestamp where id = ? and state = 'executing'
    """,
    is_by_row=True,
)
"""Oban's table, with one statement for each written row: the simplest way to write it."""

LEAST: Final = Table(
    """
    create table jobs (id integer primary key, state integer not null default 0, args text not null);
    create index waiting on jobs (id) where state = 0;
    """,
    "insert into jobs (args) values (?)",
    "insert into jobs (args) select value from json_each(?)",
    """
    update jobs set state = 1 where id in (select id from jobs where state = 0 order by id limit ?)
    returning id, args
    """,
    "update jobs set state = 2 where id in (select value from json_each(?)) and state = 1",
    "select count(*) from jobs where state <> 2",
)
"""A table without queues, priorities, times and attempts."""

_Work = Callable[[sqlite3.Connection], object]
_Order = tuple[_Work, "asyncio.Future[object]"]


class LeastQueue:
    """One writer thread and one table: no workers, no retries, no other process, no statistics."""

    def __init__(self, path: Path, mode: Mode, table: Table = OBAN) -> None:
        self._table = table
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, args=(path, mode))

    async def __aenter__(self) -> Self:
        self._thread.start()
        await self._run(lambda connection: connection.execute(self._table.left))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    async def insert(self, args: object) -> None:
        """Insert one job; it is committed at return."""
        text = json.dumps(args)
        await self._run(lambda connection: connection.execute(self._table.insert, (text,)))

    async def insert_many(self, many: Sequence[object]) -> None:
        """Insert many in one transaction."""
        table = self._table
        if table.is_by_row:
            rows = [(json.dumps(args),) for args in many]
            await self._run(lambda connection: connection.executemany(table.insert_many, rows))
        else:
            text = json.dumps(many)
            await self._run(lambda connection: connection.execute(table.insert_many, (text,)))

    async def work_off(self, function: Callable[..., object]) -> None:
        """Await `function` for each waiting job, 100 at a time. The next claim also writes the ended jobs."""
        ended: list[tuple[int]] = []
        while True:
            told, ended = ended, []
            rows = await self._turn(told)
            for job_id, text in rows:
                await function(**json.loads(text))  # type: ignore[misc] # an async function
                ended.append((job_id,))
            if not told and not rows:
                return

    async def left(self) -> int:
        """Return how many jobs have not ended."""
        return int(str(await self._run(lambda connection: connection.execute(self._table.left).fetchone()[0])))

    async def _turn(self, ended: Sequence[tuple[int]]) -> list[Row]:
        rows: list[Row] = []

        def work(connection: sqlite3.Connection) -> None:
            if self._table.is_by_row:
                connection.executemany(self._table.end, ended)
            elif ended:
                connection.execute(self._table.end, (json.dumps([job_id for (job_id,) in ended]),))
            rows.extend(connection.execute(self._table.claim, (AT_ONCE,)))

        await self._run(work)
        return rows

    async def _run(self, work: _Work) -> object:
        future: asyncio.Future[object] = self._loop.create_future()
        self._orders.put((work, future))
        return await future

    def _serve(self, path: Path, mode: Mode) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {mode}")
        if not connection.execute("select 1 from sqlite_master").fetchone():
            connection.executescript(self._table.made)
        while (order := self._orders.get()) is not None:
            orders = [order]
            try:
                while (order := self._orders.get_nowait()) is not None:
                    orders.append(order)
                self._orders.put(None)
            except Empty:
                pass
            connection.execute("begin immediate")
            results = [(future, work(connection)) for work, future in orders]
            connection.execute("commit")
            self._loop.call_soon_threadsafe(_tell, results)
        connection.close()


def _tell(results: "Sequence[tuple[asyncio.Future[object], object]]") -> None:
    for future, result in results:
        future.set_result(result)
