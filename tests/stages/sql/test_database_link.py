"""The log of an outage, with a database that is down."""

import logging
from collections.abc import Sequence

import pytest

from headrace.pipeline.flow.counts import ConnectionStatus
from headrace.stages.sql.database import DatabaseUnreachable, Insert, SqlRow
from headrace.stages.sql.database_link import DatabaseLink

pytestmark = pytest.mark.asyncio


class Unsteady:
    """A database that can be opened, and is then down."""

    called = "shop"

    async def open(self) -> None:
        pass

    async def write(self, insert: Insert, rows: Sequence[Sequence[object]]) -> dict[int, str]:
        raise DatabaseUnreachable(self.called, "gone")

    async def read(self, query: str, values: SqlRow) -> list[dict[str, object]]:
        raise DatabaseUnreachable(self.called, "gone")

    async def close(self) -> None:
        pass


async def test_the_log_promises_no_second_try_of_a_batch_that_only_retry_repeats(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    link = DatabaseLink(Unsteady(), ConnectionStatus("database"), "sink")
    await link.try_first()
    with pytest.raises(DatabaseUnreachable):
        await link.write(Insert("orders", ("id",), "fail", ()), [(1,)])
    (message,) = (record.message for record in caplog.records)
    assert message == (
        "stage 'sink' cannot write, and its batch fails unless `retry` repeats it: the database shop cannot be used "
        "(gone): see that it runs and can be reached"
    )
