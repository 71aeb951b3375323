"""What an OS process raises for an event is the same, whether the event went alone or beside others."""

import sys
from pathlib import Path
from typing import Any, Final

import pytest

from headrace.executors.errors import RemoteError
from headrace.executors.protocol import RemoteTraceback
from headrace.pipeline.engine.offload import Offload
from headrace.pipeline.failure import PLAIN_FAILURE
from headrace.pipeline.stage.settings import Concurrency
from tests.fakes import outside
from tests.fakes.offloading import Offloads

pytestmark = pytest.mark.asyncio

ROOT: Final = Path(__file__).parents[3]


class Halves(Offloads):
    """Has OS processes halve numbers: what is none is sold, and 0 awkwardly."""

    @property
    def name(self) -> str:
        return "halves"

    def offload(self) -> Any:
        return outside.halved_later


class Owner:
    """The process of the stage."""

    name = "halves"
    concurrency = Concurrency(1, "subprocess")
    failure = PLAIN_FAILURE

    def worked(self, seconds: float) -> None:
        assert seconds > 0


async def raised(work: Offload, event: object) -> list[Exception]:
    """Return what came of an event alone, and beside others."""
    with pytest.raises((RemoteError, outside.Sold)) as alone:
        await work(event)
    before, among, after = await work.many([4, event, 6])
    assert (before.output, after.output) == ([2], [3])
    assert isinstance(alone.value, Exception)
    assert among.error is not None
    return [alone.value, among.error]


async def test_an_error_is_of_the_same_class_whether_its_event_went_alone_or_beside_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    work = Offload(Halves(), Owner())
    try:
        awkward, sold = await raised(work, 0), await raised(work, "rope")
    finally:
        await work.close()
    assert {type(error) for error in awkward} == {RemoteError}
    assert len({str(error) for error in awkward}) == 1
    for error in awkward:
        assert isinstance(error, RemoteError)
        assert (error.class_name, error.message) == ("Awkward", "3 of rope")
        assert "in sell_awkwardly" in error.traceback_text
    assert [(type(error), str(error)) for error in sold] == [(outside.Sold, "rope")] * 2
    for error in [*awkward, *sold]:
        assert isinstance(error.__cause__, RemoteTraceback)
        assert "in halved_later" in error.__cause__.text
