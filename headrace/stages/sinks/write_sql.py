"""Writes events as rows of a table."""

from collections.abc import Sequence

from pydantic import Field, model_validator
from typing_extensions import override

from headrace.otp.gen_server import Timer
from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.functions import Each
from headrace.stages.options import ExpressionField, Options, StageType, refused
from headrace.stages.sql.database import Database, Insert, OnConflict, RowRefused
from headrace.stages.sql.database_link import DatabaseLink
from headrace.stages.sql.urls import DatabaseField, NameField, database_of


class WriteSqlOptions(Options):
    """Which table and columns to write."""

    database: DatabaseField = Field(
        description="The database: sqlite:///var/shop.db, or postgresql://user:password@host/shop."
    )
    table: NameField = Field(description="The table, as in orders or shop.orders.")
    columns: dict[NameField, ExpressionField] = Field(
        min_length=1, description="Each column's value, an expression that reads the event."
    )
    on_conflict: OnConflict = Field(
        default="fail",
        description="For a row whose key exists: fail, skip the row, or update the existing one.",
    )
    key: tuple[NameField, ...] = Field(default=(), description="The columns of the key; for `on_conflict: update`.")
    setup: str | None = Field(
        default=None, description="Statements to run at the start, such as create table if not exists."
    )

    @model_validator(mode="after")
    def _has_a_key(self) -> "WriteSqlOptions":
        if self.on_conflict == "update" and not self.key:
            raise refused("bad_value", "to update a row that is there say by which columns: `key: [id]`", path=["key"])
        unknown = [name for name in self.key if name not in self.columns]
        if unknown:
            raise refused("bad_value", f"there is no column {unknown[0]} among `columns`", path=["key"])
        return self


class _Probe:
    """A message to the stage: try to connect."""


class WriteSql(Consumer[object], StageType):
    """Writes each batch in one transaction; its events are done when it is committed.

    A row that the database refuses fails its event alone. At the start the stage waits until PostgreSQL can be reached.
    Later a database that cannot be used crashes the stage, and its batch is lost unless `retry` repeats it.
    """

    Options = WriteSqlOptions
    takes_messages = True

    def __init__(self, options: WriteSqlOptions) -> None:
        self._database: Database = database_of(options.database, options.setup)
        self._insert = Insert(options.table, tuple(options.columns), options.on_conflict, options.key)
        self._values = tuple(options.columns.values())
        self._link: DatabaseLink
        self._probe: Timer | None = None

    @override
    async def init(self) -> None:
        self._link = DatabaseLink(self._database, self.connection("database"), self.name)
        await self._link.try_first()
        self._probe_later()

    @override
    async def handle_info(self, message: object) -> None:
        if isinstance(message, _Probe):
            self._probe = None
            await self._link.try_to_open()
            self._probe_later()

    def _probe_later(self) -> None:
        if self._link.is_unreachable and self._probe is None:
            self._probe = self.send_after(self._link.wait_seconds(), _Probe())

    @override
    async def handle_events(self, events: list[object]) -> None:
        made = Each[Sequence[object]](lambda event: [value(event) for value in self._values], events, self.fail_event)
        if made.outputs:
            try:
                refused_rows = await self._link.write(self._insert, made.outputs)
            finally:
                self._probe_later()
            for position, why in refused_rows.items():
                self.fail_event(made.events[position], RowRefused(why))

    @override
    async def terminate(self, reason: object) -> None:
        await self._database.close()
