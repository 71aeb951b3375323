"""Supervisors, one_for_one: restarts, giving up, stopping, and names."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import pytest

from headrace.clock import Clock
from headrace.errors import (
    ForeignThread,
    NameTaken,
    NoProcess,
    ProcessDown,
    RestartsExhausted,
    StartFailed,
    Unrecoverable,
)
from headrace.otp.process.process import ExitReason, Process
from headrace.otp.process.state import ProcessSettings
from headrace.otp.scheduler import IDLE, MORE, Scheduler
from headrace.otp.supervision.restart import Restart
from headrace.otp.supervision.supervisor import Supervisor
from tests.fakes.processes import (
    SMALL,
    Gate,
    Listener,
    ManualClock,
    Oops,
    busy,
    hops,
    raising,
    said,
    start_gate,
    supervising,
)
from tests.fakes.stepping import until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Exits(Process[object]):
    """Ends with one of `exits` a life, in their order, and then runs on; notes its end in `ends`."""

    def __init__(
        self, name: str, scheduler: Scheduler, *exits: ExitReason, ends: list[tuple[str, object]] | None = None
    ) -> None:
        super().__init__(name, object, scheduler)
        self.exits = list(exits)
        self.ends = [] if ends is None else ends

    def work(self) -> int:
        if not self.exits:
            return IDLE
        reason = self.exits.pop(0)
        if isinstance(reason, BaseException):
            raise reason
        self.exit(reason)
        return MORE

    def requeue_in_flight(self, reason: ExitReason) -> None:
        self.ends.append((self.name, reason))


@pytest.mark.parametrize(
    ("restart", "reason", "is_restarted"),
    [
        ("permanent", "normal", True),
        ("permanent", Oops("x"), True),
        ("transient", "normal", False),
        ("transient", Oops("x"), True),
        ("temporary", "normal", False),
        ("temporary", Oops("x"), False),
    ],
)
async def test_a_child_is_restarted_as_its_type_says(
    restart: Restart, reason: ExitReason, *, is_restarted: bool
) -> None:
    async with supervising() as supervisor:
        child = Exits("child", supervisor.scheduler, reason)
        supervisor.supervise(child, restart)
        await child.started
        await until(lambda: child.restarts == 1 or child.terminated.done())
        assert child.restarts == is_restarted
        assert child.terminated.done() is not is_restarted
        assert list(supervisor.table.entries) == (["child"] if is_restarted else [])


async def test_a_child_that_is_restarted_leaves_its_siblings_alone() -> None:
    async with supervising() as supervisor:
        ref, _ = await start_gate(supervisor, "broken")
        sibling, _ = await start_gate(supervisor, "sibling")
        await sibling.call(Gate.note, 1)
        with pytest.raises(ProcessDown):
            await ref.call(Gate.fail, Oops("x"))
        assert await ref.call(Gate.noted) == []
        assert await sibling.call(Gate.noted) == [1]


async def test_a_child_told_to_stop_stays_stopped_whatever_its_type() -> None:
    async with supervising() as supervisor:
        ref, _ = await start_gate(supervisor)
        assert await ref.stop() == "shutdown"
        assert ref._process.restarts == 0


async def test_one_restart_more_than_allowed_stops_the_children_in_reverse_and_ends_the_supervisor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with supervising(max_restarts=2) as supervisor:
        listener = Listener(supervisor.scheduler)
        ends: list[tuple[str, object]] = []
        for name in ("first", "second"):
            supervisor.supervise(Exits(name, supervisor.scheduler, ends=ends))
        errors = [Oops(str(number)) for number in range(3)]
        supervisor.supervise(Exits("broken", supervisor.scheduler, *errors, ends=ends))
        supervisor.supervise(Exits("last", supervisor.scheduler, ends=ends))
        reason = await supervisor.terminated
        assert isinstance(reason, RestartsExhausted)
        assert (reason.child, reason.restarts, reason.reason) == ("broken", 2, errors[2])
        assert str(reason) == (
            "'broken' failed again after 2 restarts within 5 s, and its supervisor exited; the last error was: Oops: 2"
        )
        assert reason.__cause__ is errors[2]
        assert ends == [
            *[("broken", error) for error in errors],
            *[(name, "shutdown") for name in ("last", "second", "first")],
        ]
        assert listener.crashes == [*[("broken", error) for error in errors], ("supervisor", reason)]
        assert said(caplog) == [
            *["process 'broken' crashed"] * 3,
            f"process 'supervisor' ended: {reason}",
        ]
        assert said(caplog, logging.WARNING) == ["restarting 'broken'"] * 2


async def test_restarts_of_long_ago_do_not_count() -> None:
    clock = ManualClock()
    async with supervising(Scheduler(clock=Clock(monotonic=clock)), max_restarts=1, max_seconds=5.0) as supervisor:
        ref, _ = await start_gate(supervisor)
        for number in range(4):
            clock.advance(6.0)
            with pytest.raises(ProcessDown):
                await ref.call(Gate.fail, Oops("x"))
            await until(lambda number=number: ref._process.restarts == number + 1)  # type: ignore[misc]
        with pytest.raises(ProcessDown):
            await ref.call(Gate.fail, Oops("x"))
        assert isinstance(await supervisor.terminated, RestartsExhausted)


async def test_restarts_of_all_children_count_together() -> None:
    async with supervising(max_restarts=1) as supervisor:
        for name in "ab":
            supervisor.supervise(Exits(name, supervisor.scheduler, Oops(name)))
        assert isinstance(await supervisor.terminated, RestartsExhausted)


@pytest.mark.parametrize("restart", ["permanent", "temporary"])
async def test_what_no_restart_would_mend_ends_the_supervisor_at_once(restart: Restart) -> None:
    async with supervising() as supervisor:
        ends: list[tuple[str, object]] = []
        error = Unrecoverable("the disk is full: make room")
        supervisor.supervise(Exits("sibling", supervisor.scheduler, ends=ends))
        supervisor.supervise(Exits("broken", supervisor.scheduler, error, ends=ends), restart)
        assert await supervisor.terminated is error
        assert ends == [("broken", error), ("sibling", "shutdown")]


async def test_a_start_that_no_restart_would_mend_is_the_starter_s_concern_alone() -> None:
    class Hopeless(Gate):
        def init(self) -> None:
            message = "the disk is full: make room"
            raise Unrecoverable(message)

    async with supervising() as supervisor:
        with pytest.raises(StartFailed, match="'hopeless' could not start: the disk is full: make room"):
            await supervisor.start_child(Hopeless, name="hopeless")
        ref, _ = await start_gate(supervisor)
        assert await ref.call(Gate.noted) == []


async def test_a_stop_stops_the_children_one_after_the_other_in_reverse() -> None:
    ends: list[str] = []

    class Slow(Gate):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def terminate(self, reason: object) -> None:  # type: ignore[override]
            ends.append(f"{self.name} begins")
            await hops(5)
            ends.append(f"{self.name} ends")

    async with supervising() as supervisor:
        for name in "abc":
            await supervisor.start_child(partial(Slow, name), name=name)
    assert ends == [f"{name} {what}" for name in "cba" for what in ("begins", "ends")]


async def test_a_supervisor_has_no_deadline_for_its_children_each_has_one_of_its_own() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor, settings=ProcessSettings())
        await busy(ref, gate)
        supervisor.stop()
        await until(lambda: supervisor.is_busy and ref._process.driver._deadline is not None)
        assert supervisor.driver._deadline is None
        gate.gate.set_result(None)


async def test_a_supervisor_whose_stop_is_cancelled_by_others_still_lets_its_children_end() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor, settings=ProcessSettings())
        waiting = asyncio.create_task(ref.call(Gate.wait))
        await gate.has_entered.wait()
        supervisor.stop()
        await until(lambda: supervisor.is_busy)
        await hops(2)
        for task in asyncio.all_tasks():
            if task.get_name() == "supervisor":
                task.cancel()
        await supervisor.terminated
        gate.gate.set_result("in time")
        assert await waiting == "in time"
        assert await ref._process.terminated == "shutdown"


async def test_a_stop_while_a_child_waits_for_its_restart_ends_it_with_its_crash() -> None:
    async with supervising() as supervisor:
        error = Oops("x")
        child = Exits("child", supervisor.scheduler, error)
        supervisor.scheduler.telemetry.attach("stop", ("headrace", "process", "crash"), lambda *_: child.stop())
        supervisor.supervise(child)
        assert await child.terminated is error
        await hops()
        assert child.restarts == 0
        assert supervisor.table.entries == {}


async def test_a_name_is_taken_while_its_child_lives_and_free_afterwards() -> None:
    async with supervising() as supervisor:
        ref, _ = await start_gate(supervisor)
        with pytest.raises(NameTaken, match="'gate'"):
            await start_gate(supervisor)
        assert supervisor.whereis("gate")._process is ref._process
        await ref.stop()
        again, _ = await start_gate(supervisor)
        assert supervisor.whereis("gate")._process is again._process


async def test_the_name_of_a_child_is_its_factory_s_unless_given() -> None:
    async with supervising() as supervisor:
        assert (await supervisor.start_child(Gate)).name == "Gate"
        assert (await supervisor.start_child(partial(Gate))).name == "child"


async def test_children_that_have_ended_are_forgotten() -> None:
    async with supervising() as supervisor:
        for number in range(3):
            ref, _ = await start_gate(supervisor, f"gate {number}")
            await ref.stop()
        assert supervisor.table.entries == {}
        assert supervisor.which_children() == []


@pytest.mark.parametrize("is_slow", [False, True])
async def test_a_child_whose_init_fails_is_neither_kept_nor_restarted(*, is_slow: bool) -> None:
    class Failing(Gate):
        async def init(self) -> None:
            await hops(3)
            raise Oops

        def terminate(self, reason: object) -> object:  # type: ignore[override]
            return hops(5) if is_slow else None

    async with supervising(max_restarts=0) as supervisor:
        for _ in range(2):
            with pytest.raises(StartFailed):
                await supervisor.start_child(Failing, name="failing")
            assert supervisor.table.entries == {}
        ref, _ = await start_gate(supervisor)
        assert await ref.call(Gate.noted) == []


async def test_an_init_that_fails_at_a_restart_counts_as_a_crash() -> None:
    inits: list[Callable[[], object]] = [lambda: None, partial(raising, Oops("no")), lambda: None]

    class Failing(Gate):
        def init(self) -> None:
            inits.pop(0)()

    async with supervising() as supervisor:
        ref = await supervisor.start_child(Failing, name="failing")
        with pytest.raises(ProcessDown):
            await ref.call(Gate.fail, Oops("x"))
        assert await ref.call(Gate.noted) == []
        assert ref._process.restarts == 2


async def test_a_start_that_is_cancelled_stops_the_child_and_waits_for_its_end() -> None:
    class Slow(Gate):
        async def init(self) -> None:
            await self.wait()

        async def terminate(self, reason: object) -> None:  # type: ignore[override]
            await hops(5)
            self.reasons.append(reason)

    async with supervising() as supervisor:
        slow = Slow()
        starting = asyncio.create_task(supervisor.start_child(lambda: slow, name="slow"))
        await slow.has_entered.wait()
        child = supervisor.table.entries["slow"].process
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert slow.reasons == ["shutdown"]
        assert supervisor.table.entries == {}
        with pytest.raises(StartFailed):
            await child.started


async def test_a_supervisor_that_does_not_run_takes_no_children() -> None:
    new, stopping = Supervisor("supervisor", Scheduler()), Supervisor("supervisor", Scheduler())
    stopping.start()
    await stopping.started
    stopping.stop()
    for supervisor in (new, stopping):
        with pytest.raises(NoProcess, match="process 'supervisor' is not running: start it first"):
            await supervisor.start_child(Gate)
    await stopping.terminated
    with pytest.raises(NoProcess):
        await stopping.start_child(Gate)


async def test_a_foreign_thread_that_starts_a_child_is_told_so() -> None:
    async with supervising() as supervisor:
        with pytest.raises(ForeignThread, match="start of 'Gate' from a foreign thread"):
            await asyncio.to_thread(lambda: asyncio.run(supervisor.start_child(Gate, name="Gate")))
        assert supervisor.table.entries == {}


async def test_the_settings_of_a_child_hold_for_it() -> None:
    async with supervising() as supervisor:
        ref, _ = await start_gate(supervisor, settings=SMALL)
        assert ref._process.mailbox.statistics().limit == SMALL.mailbox_limit
        assert ref._process.shutdown_seconds == SMALL.shutdown_seconds
