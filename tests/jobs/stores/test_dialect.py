"""Bodies of a store await their session and nothing else."""

import asyncio

import pytest

from headrace.jobs.job import AttemptCompleted, JobAck, NewJob
from headrace.jobs.stores.sql.claim import acknowledge
from headrace.jobs.stores.sql.dialect import finish
from headrace.jobs.stores.sql.insert import inserting
from headrace.jobs.stores.sqlite_store import SqliteDialect, SqliteStore
from tests.fakes.job_clock import NOON
from tests.fakes.kept_jobs import ME
from tests.jobs.stores.test_unique import FOR_EVER


def test_a_body_that_awaits_anything_else_is_told_so() -> None:
    with pytest.raises(RuntimeError, match="a body of a store awaits its session only"):
        finish(asyncio.sleep(0))


def test_an_error_of_a_body_is_raised_as_it_is() -> None:
    async def body() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        finish(body())


def test_a_dialect_can_recognise_bodies_that_it_may_merge() -> None:
    store = SqliteStore("jobs.db")
    dialect = store._dialect
    assert isinstance(dialect, SqliteDialect)
    plain = inserting(dialect, [NewJob("build"), NewJob("ship")], NOON)
    assert getattr(plain, "func", None) == dialect.insert
    assert getattr(inserting(dialect, [NewJob("build", unique=FOR_EVER)], NOON), "func", None) != dialect.insert
    acknowledging = store._acknowledging(ME, [JobAck(1, 1, AttemptCompleted())])
    assert getattr(acknowledging, "func", None) is acknowledge
