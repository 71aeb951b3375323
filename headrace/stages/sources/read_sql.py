"""Reads the rows of a query: once, or the new rows again and again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import Field, model_validator
from typing_extensions import override

from headrace.pipeline.stage.producer import Producer
from headrace.stages.options import DurationField, Options, StageType, refused
from headrace.stages.sql.database import Database, DatabaseFailed, parameters
from headrace.stages.sql.database_link import DatabaseLink
from headrace.stages.sql.urls import DatabaseField, database_of

CURSOR = "after"
"""The query parameter with the last value of the cursor column."""


class ReadSqlOptions(Options):
    """Which rows to read, and how often."""

    database: DatabaseField = Field(
        description="The database: sqlite:///var/shop.db, or postgresql://user:password@host/shop."
    )
    query: str = Field(
        min_length=1,
        description="A select; with `cursor` it needs :after, as in: select * from t where id > :after order by id.",
    )
    cursor: str | None = Field(
        default=None, min_length=1, description="The column whose last value is the :after of the next query."
    )
    start: int | float | str = Field(default=0, description="The first :after.")
    every: Annotated[DurationField, Field(gt=0)] | None = Field(
        default=None,
        description="How often to query again after a query without rows. Without: the stage completes then.",
    )

    @model_validator(mode="after")
    def _fits(self) -> "ReadSqlOptions":
        names = parameters(self.query, str)[1]
        unknown = [name for name in names if name != CURSOR]
        if unknown:
            raise refused("bad_value", f"there is nothing for :{unknown[0]}: :after alone is filled in", path=["query"])
        if (self.cursor is None) is (CURSOR in names):
            why = "`cursor` and the :after of `query` go together: name the column, and read what is above it"
            raise refused("bad_value", why)
        if self.every is not None and self.cursor is None:
            raise refused("bad_value", "to look again it needs a `cursor`: all rows would come again", path=["every"])
        return self


class ReadSql(Producer[object], StageType):
    """Emits each row as a dict by column names, in the order of the query; then it completes.

    With `cursor` it queries again until a query gives no rows, and with `every` also after that, until the run drains.
    While PostgreSQL cannot be reached, it waits, and then continues after the last row.
    """

    Options = ReadSqlOptions

    def __init__(self, options: ReadSqlOptions) -> None:
        self._options = options
        self._database: Database = database_of(options.database, is_made=False)
        self._after: object = options.start
        self._link: DatabaseLink

    @override
    async def init(self) -> None:
        self._link = DatabaseLink(self._database, self.connection("database"), self.name)
        await self._link.try_first()

    @override
    def handle_demand(self, demand: int) -> AsyncIterator[object]:
        return self._rows()

    async def _rows(self) -> AsyncIterator[object]:
        options = self._options
        while True:
            values = {} if options.cursor is None else {CURSOR: self._after}
            rows = await self._link.read(options.query, values)
            if options.cursor is not None and rows:
                self._after = self._last(rows[-1], options.cursor)
            for row in rows:
                yield row
            if options.cursor is None or not rows:
                if options.every is None:
                    self.complete()
                    return
                await asyncio.sleep(options.every)

    def _last(self, row: dict[str, object], cursor: str) -> object:
        if cursor not in row:
            why = f"the query gives no column {cursor!r}, which `cursor` names"
            raise DatabaseFailed(self._database.called, why, "select it, too")
        last = row[cursor]
        if last is None or last == self._after:
            found = "no value" if last is None else f"{last!r} again, which is :after itself,"
            why = f"the last row has {found} in {cursor!r}, which `cursor` names"
            raise DatabaseFailed(
                self._database.called, why, "ask for rows above :after only, in the order of the column"
            )
        return last

    @override
    async def terminate(self, reason: object) -> None:
        await self._database.close()
