"""Log lines."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from headrace.console.cli.output import JsonFormatter, LineFormatter, logging_to
from headrace.http.address import parse_address
from headrace.pipeline.topology.topology import Topology
from tests.console.cli.raised import raised
from tests.fakes.console_stages import Crashing, Failing, Numbers


class Lines:
    """What was logged as JSON, one object a line."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(JsonFormatter("shop", ["failing", "crashing"], with_tracebacks=False))

    def read(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    found = Lines()
    with logging_to(found.handler, "info"):
        yield found


def test_a_line_says_when_how_bad_what_and_which_pipeline(lines: Lines) -> None:
    logging.getLogger("headrace").warning("the %s is full", "buffer")
    (line,) = lines.read()
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "message": "the buffer is full", "pipeline": "shop"}


def test_other_loggers_are_named_and_their_lines_stay_one_line(lines: Lines) -> None:
    logging.getLogger("shop.prices").info("two\nlines")
    (line,) = lines.read()
    assert (line["logger"], line["message"]) == ("shop.prices", "two\nlines")


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_records_below_the_level_are_not_written(level: str, count: int) -> None:
    found = Lines()
    log = logging.getLogger("headrace")
    with logging_to(found.handler, level):
        for write in (log.debug, log.info, log.warning, log.error):
            write("something")
    assert len(found.read()) == count


def test_everyday_news_of_the_http_server_is_not_written(lines: Lines) -> None:
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").error("something is wrong")
    assert [line["message"] for line in lines.read()] == ["something is wrong"]


def test_pythons_warnings_are_log_lines(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("this is old", DeprecationWarning, stacklevel=1)
    (line,) = lines.read()
    assert line["level"] == "warning"
    assert "this is old" in line["message"]


def test_logging_is_as_before_when_the_block_ends() -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    with logging_to(logging.NullHandler(), "debug"):
        assert list(root.handlers) != before[0]
    assert (list(root.handlers), root.level) == before


@pytest.mark.asyncio
async def test_a_line_of_a_stage_names_it(lines: Lines) -> None:
    topology = Topology("shop")
    topology.add("numbers", lambda: Numbers(3))
    topology.add("failing", Failing, subscribe_to="numbers")
    await topology.start()
    await topology.join()
    (line,) = lines.read()
    assert line["stage"] == "failing"
    assert "ValueError: 0 is not wanted" in line["message"]


@pytest.mark.asyncio
async def test_a_crash_in_a_users_stage_is_a_sentence_without_a_traceback(lines: Lines) -> None:
    topology = Topology("shop", max_restarts=0)
    topology.add("numbers", lambda: Numbers(3))
    topology.add("crashing", Crashing, subscribe_to="numbers")
    await topology.start()
    await topology.join()
    crash = next(line for line in lines.read() if "crashed" in line["message"])
    assert "RuntimeError: secret-of-the-batch (" in crash["message"]
    assert "console_stages.py, line " in crash["message"]
    assert "traceback" not in crash


def record(error: BaseException) -> logging.LogRecord:
    told = (type(error), error, error.__traceback__)
    return logging.LogRecord("headrace", logging.ERROR, "", 0, "stage %r crashed", ("prices",), told)


def test_a_bug_of_our_own_is_shown_with_its_traceback_and_asks_for_a_report() -> None:
    bad_address: Any = 9470
    bug = record(raised(AttributeError, partial(parse_address, bad_address)))
    line = json.loads(JsonFormatter("shop", [], with_tracebacks=False).format(bug))
    assert "please report it" in line["message"]
    assert line["traceback"].startswith("Traceback")
    text = LineFormatter(with_tracebacks=False).format(bug)
    assert "error   stage 'prices' crashed: AttributeError" in text
    assert "\nTraceback" in text


def test_debugging_shows_every_traceback() -> None:
    broken = record(raised(ZeroDivisionError, lambda: 1 / 0))
    assert "\nTraceback" in LineFormatter(with_tracebacks=True).format(broken)
    assert "\n" not in LineFormatter(with_tracebacks=False).format(broken)


def test_an_error_that_the_message_names_already_is_not_named_twice() -> None:
    error = ValueError("no price")
    told = (type(error), error, None)
    said = logging.LogRecord("headrace", logging.ERROR, "", 0, "stage %r fails: ValueError: %s", ("a", error), told)
    assert LineFormatter(with_tracebacks=False).format(said).endswith("error   stage 'a' fails: ValueError: no price")
