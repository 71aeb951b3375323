"""Errors of users whose `__str__` or `__repr__` raises: each is named by its class, and nothing stops over it."""

import logging
from collections.abc import Callable

import pytest

from headrace.console.cli.output import LineFormatter, sentence
from headrace.errors import (
    RestartsExhausted,
    StartFailed,
    TaskFailed,
    Unrecoverable,
    class_and_message,
    describe,
    short_repr,
)
from headrace.executors.errors import RemoteError
from headrace.executors.thread_executor import ThreadExecutor
from headrace.jobs.running.outcomes import error_text
from headrace.otp.gen_server import GenServer
from headrace.otp.supervision.supervisor import Supervisor
from headrace.otp.task_supervisor import TaskSupervisor
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Numbers


class Odd(Exception):
    """Cannot be printed: its `row` was never set."""

    def __str__(self) -> str:
        return f"row {self.row}"  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return str(self)


class OddReason(Unrecoverable):
    """One of ours that cannot be printed."""

    __str__ = Odd.__str__


class OddAbort(BaseException):
    """Cannot be printed, and is hardly ever caught."""

    __str__ = Odd.__str__


class Keep(Consumer[object]):
    """Fails where it is told to."""

    def __init__(self, where: str, error: type[BaseException] = Odd) -> None:
        self._where = where
        self._error = error

    def init(self) -> None:
        self._fail_in("init")

    def handle_events(self, events: list[object]) -> None:
        self._fail_in("handle_events")

    def terminate(self, reason: object) -> None:
        self._fail_in("terminate")

    def _fail_in(self, where: str) -> None:
        if where == self._where:
            raise self._error


class Server(GenServer):
    def init(self) -> None:
        raise Odd


def _topology(sink: Callable[[], Consumer[object]]) -> Topology:
    topology = Topology(max_restarts=0)
    topology.add("numbers", lambda: Numbers(3))
    topology.add("sink", sink, subscribe_to="numbers")
    return topology


def test_an_error_that_cannot_be_printed_is_described_by_its_class() -> None:
    assert (describe(Odd()), describe(OddReason()), class_and_message(Odd())) == ("Odd", "OddReason", "Odd")
    assert short_repr(Odd()) == "<Odd, whose __repr__ raised AttributeError>"
    assert sentence(Odd()) == "Odd"
    assert "OddReason" in error_text(OddReason())


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [Odd, OddReason, OddAbort])
async def test_an_init_whose_error_cannot_be_printed_fails_the_start(error: type[BaseException]) -> None:
    with pytest.raises(StartFailed, match=error.__name__):
        await _topology(lambda: Keep("init", error)).start()


@pytest.mark.asyncio
async def test_a_child_whose_error_cannot_be_printed_fails_to_start() -> None:
    async with Supervisor("supervisor") as supervisor:
        with pytest.raises(StartFailed, match="Odd"):
            await supervisor.start_child(Server, name="server")


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["handle_events", "terminate"])
async def test_a_run_whose_stage_raises_what_cannot_be_printed_ends_with_the_right_reason(where: str) -> None:
    topology = _topology(lambda: Keep(where))
    await topology.start()
    outcome = await topology.join()
    assert isinstance(outcome.reason, RestartsExhausted) is (where == "handle_events")
    assert topology.snapshot().stages[1].error == ("Odd" if where == "handle_events" else None)


@pytest.mark.asyncio
async def test_a_task_that_raised_what_cannot_be_printed_fails_its_result() -> None:
    def fail() -> None:
        raise Odd

    async with TaskSupervisor("tasks") as tasks:
        with pytest.raises(TaskFailed, match="Odd"):
            await tasks.start_child(fail).result()


@pytest.mark.asyncio
async def test_events_that_failed_with_what_cannot_be_printed_are_counted_and_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fails(ProducerConsumer[object, object]):
        per_event = True

        def handle_events(self, events: list[object]) -> list[object]:
            raise Odd

    topology, errors = Topology(), Collect()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("middle", Fails, subscribe_to="numbers")
    topology.add("sink", Collect, subscribe_to="middle")
    topology.add("errors", lambda: errors, subscribe_to=SubscribeTo("middle", output="errors"))
    await topology.start()
    await topology.join()
    error = {"type": "Odd", "text": ""}
    assert errors.events == [{"event": n, "stage": "middle", "attempts": 1, "error": error} for n in (1, 2, 3)]
    assert (
        "passes an event to its errors output (later ones that fail alike are counted, not logged): Odd" in caplog.text
    )


@pytest.mark.asyncio
async def test_a_thread_returns_from_a_function_that_raised_what_cannot_be_printed() -> None:
    async with ThreadExecutor(1) as executor:
        with pytest.raises(RemoteError, match="OddAbort"):
            await executor.run(abort)


def abort() -> None:
    raise OddAbort


def test_a_log_line_of_what_cannot_be_printed_names_its_class() -> None:
    error = Odd()
    record = logging.LogRecord("shop", logging.ERROR, "", 1, "it failed", (), (Odd, error, None))
    assert LineFormatter(with_tracebacks=False).format(record).endswith("it failed: Odd")
