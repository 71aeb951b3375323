"""A thread that reads a SQLite file beside the one that writes: it waits for no writer, and no writer for it."""

import sqlite3
from pathlib import Path

from headrace.database.sqlite_file import SqliteFile, patiently, translated
from headrace.database.sqlite_orders import Order, Orders, R, Work, tell


class SqliteReader:
    """Owns a connection that only reads. Each work sees the file as it is when it begins: all that was committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path)
        self._connection: sqlite3.Connection | None = None
        self._orders = Orders(path, self._serve, self._disconnect, "reads")

    async def start(self) -> None:
        """Open the file, in the reader's thread. Raises SqliteError when it cannot be read."""
        self._orders.start()
        await self.run(lambda _: None)

    async def run(self, work: Work[R]) -> R:
        """Run `work`, and return its result. On cancellation the result is dropped."""
        return await self._orders.run(work)

    def run_sync(self, work: Work[R]) -> R:
        """Do the same from any other thread, and wait."""
        return self._orders.run_sync(work)

    async def aclose(self) -> None:
        """Answer what was asked, then close the file."""
        await self._orders.aclose()

    def close(self) -> None:
        """Do the same where there is no event loop to hold up."""
        self._orders.close()

    def _serve(self) -> None:
        is_open = True
        while is_open:
            orders, is_open = self._orders.take(None)
            with self._orders.connection_lock:
                for order in orders:
                    self._answer(order)
            tell(orders)
        with self._orders.connection_lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _answer(self, order: Order[object]) -> None:
        try:
            if self._connection is None:
                self._connection = self._file.connect("query_only = ON")
            self._file.check()
            connection = self._connection
            order.result = patiently(self.path, lambda: _read(connection, order), lambda: self._orders.is_closed)
            self._file.remember_log()
        except BaseException as error:  # noqa: BLE001 - whoever ordered the work is told
            order.error = translated(self.path, error)


def _read(connection: sqlite3.Connection, order: Order[object]) -> object:
    connection.execute("BEGIN")
    try:
        return order.work(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
