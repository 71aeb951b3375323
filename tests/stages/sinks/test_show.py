"""Events are shown to a person, who may go away."""

import asyncio
import io
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from headrace.errors import RestartsExhausted
from headrace.stages.errors import ReaderClosed
from headrace.stages.sinks.show import Show, ShowOptions
from tests.house.tree import ROOT
from tests.stages.runs import run_events

pytestmark = pytest.mark.asyncio


async def shown(events: list[object], limit: int | None = None, stream: io.StringIO | None = None) -> list[str]:
    stream = stream or io.StringIO()
    ran = await run_events(events, Show(ShowOptions(limit=limit), stream), max_demand=3)
    assert ran.outcome.is_fine
    assert ran.stages[1].events_received == len(events)
    return stream.getvalue().splitlines()


async def test_each_event_is_one_line_of_json() -> None:
    assert await shown([{"a": [1, None]}, "é\n", 2.5]) == ['{"a": [1, null]}', '"é\\n"', "2.5"]


async def test_what_json_has_no_word_for_is_shown_as_python_writes_it() -> None:
    circle: list[object] = []
    circle.append(circle)
    assert await shown([{"at": datetime(2026, 1, 1, tzinfo=UTC)}, {(1, 2): 3}, circle]) == [
        '{"at": "2026-01-01T00:00:00+00:00"}',
        "{(1, 2): 3}",
        "[[...]]",
    ]


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
async def test_beyond_the_limit_events_are_taken_and_not_shown(limit: int) -> None:
    assert await shown(list(range(10)), limit) == [str(n) for n in range(min(limit, 10))]


async def test_what_standard_output_cannot_spell_is_escaped() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    await run_events(["é", "\ud800"], Show(ShowOptions(), stream))
    stream.seek(0)
    assert stream.read() == '"\\xe9"\n"\\ud800"\n'


async def test_it_prints_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    await run_events([1, 2], Show(ShowOptions()))
    assert capsys.readouterr().out == "1\n2\n"


class Gone(io.StringIO):
    """A stream whose reader has gone after the first line, or that is out of order."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        if self.getvalue():
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
async def test_once_nobody_reads_the_run_ends_and_what_was_not_shown_is_counted(error: Exception) -> None:
    stream = Gone(error)
    ran = await run_events(range(9), Show(ShowOptions(), stream), max_demand=3)
    assert isinstance(ran.outcome.reason, ReaderClosed)
    assert ran.outcome.events_lost > 0
    shown = stream.getvalue().splitlines()
    assert shown == [str(number) for number in range(len(shown))] != []


async def test_a_stream_that_is_out_of_order_is_a_crash() -> None:
    show = Show(ShowOptions(), Gone(OSError(5, "Input/output error")))
    ran = await run_events(range(9), show, max_demand=3)
    assert ran.stages[1].restarts == 3
    assert isinstance(ran.outcome.reason, RestartsExhausted)
    assert "cannot write to the output: Input/output error" in str(ran.outcome.reason)


def run_into_head(count: int) -> "subprocess.CompletedProcess[str]":
    """Show so many events to a reader that leaves after the first line."""
    program = f"""
import asyncio, sys
from headrace.errors import RestartsExhausted
from headrace.stages.sinks.show import Show, ShowOptions
from tests.stages.runs import run_events
ran = asyncio.run(run_events(range({count}), Show(ShowOptions())))
print(type(ran.outcome.reason).__name__, ran.outcome.reason, file=sys.stderr)
"""
    command = f"{sys.executable} -c '{program}' | head -n 1; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)}
    )


async def test_a_reader_that_has_had_enough_ends_the_run_with_one_sentence() -> None:
    done = await asyncio.to_thread(run_into_head, 100_000)
    assert (done.stdout, done.returncode) == ("0\n", 0)
    assert done.stderr.splitlines()[-1] == f"ReaderClosed {ReaderClosed()}"


async def test_options_that_make_no_sense_are_refused() -> None:
    for options in ({"limit": 0}, {"limit": True}, {"count": 1}):
        with pytest.raises(ValidationError):
            ShowOptions.model_validate(options)
