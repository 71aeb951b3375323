"""Timers, timeouts and continuations: what a process does later, or next."""

import asyncio

import pytest

from headrace.errors import NoCallback, ProcessDown
from headrace.otp.gen_server import GenServer, Timer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.processes import Oops, supervising
from tests.fakes.stepping import until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]

LATER = 3600.0
"""More seconds than any test waits."""


class Diary(GenServer):
    """Notes what happens to it, in order."""

    def __init__(self) -> None:
        self.notes: list[object] = []
        self.noted = asyncio.Event()

    def write(self, what: object) -> list[object]:
        self.notes.append(what)
        return self.notes

    def read(self) -> list[object]:
        return self.notes

    def go_on(self, *arguments: object) -> list[object]:
        self.notes.append("begun")
        for argument in arguments:
            self.continue_with(argument)
        return list(self.notes)

    def remind(self, seconds: float, message: object) -> Timer:
        return self.send_after(seconds, message)

    def expect_mail(self, seconds: float) -> None:
        self.timeout_after(seconds)

    def fail(self) -> None:
        raise Oops

    def handle_continue(self, argument: object) -> None:
        self.notes.append(argument)
        if argument == "again":
            self.continue_with("again and again")

    def handle_info(self, message: object) -> None:
        self.notes.append(message)
        self.noted.set()

    def handle_timeout(self) -> None:
        self.notes.append("timeout")
        self.noted.set()


class SlowDiary(Diary):
    """Does the same in its own time."""

    async def handle_continue(self, argument: object) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().handle_continue(argument)

    async def handle_timeout(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().handle_timeout()


DIARIES = pytest.mark.parametrize("kind", [Diary, SlowDiary])


@DIARIES
async def test_a_continuation_runs_after_the_reply_and_before_all_mail(kind: type[Diary]) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(kind)
        ref.cast_nowait(Diary.go_on, 1, "again", 2)
        ref.cast_nowait(Diary.write, "mail")
        ref.info("info")
        assert await ref.call(Diary.read) == ["begun", 1, "again", 2, "again and again", "mail", "info"]
        assert await ref.call(Diary.go_on, 3) == ["begun", 1, "again", 2, "again and again", "mail", "info", "begun"]


@DIARIES
async def test_init_returns_before_its_continuation_runs_and_no_mail_comes_in_between(kind: type[Diary]) -> None:
    diary = kind()

    class Opening(kind):  # type: ignore[valid-type, misc]
        def init(self) -> None:
            self.continue_with("opened")

    diary = Opening()
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: diary, name="diary")
        assert await ref.call(Diary.write, "mail") == ["opened", "mail"]


async def test_a_continuation_is_gone_after_a_crash() -> None:
    class Careless(Diary):
        def go_on(self, *arguments: object) -> list[object]:
            super().go_on(*arguments)
            raise Oops

    async with supervising() as supervisor:
        ref = await supervisor.start_child(Careless)
        await ref.cast(Diary.go_on, 1, 2)
        assert await ref.call(Diary.write, "mail") == ["mail"]


async def test_a_word_for_a_callback_that_is_not_there_is_refused_at_once() -> None:
    class Bare(GenServer):
        def go_on(self) -> None:
            self.continue_with(1)

        def wait(self) -> None:
            self.timeout_after(1)

    async with supervising() as supervisor:
        ref = await supervisor.start_child(Bare)
        with pytest.raises(ProcessDown) as caught:
            await ref.call(Bare.go_on)
        assert str(caught.value.reason) == (
            "the class of process 'Bare' has no handle_continue(self, argument) of its own: "
            "write it, since the process calls it"
        )
        with pytest.raises(ProcessDown) as caught:
            await ref.call(Bare.wait)
        assert isinstance(caught.value.reason, NoCallback)


async def test_a_message_comes_when_its_time_has_passed() -> None:
    diary = Diary()
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: diary, name="diary")
        await ref.call(Diary.remind, LATER, "never")
        await ref.call(Diary.remind, 0.001, "soon")
        await diary.noted.wait()
        assert diary.notes == ["soon"]


async def test_a_message_that_was_taken_back_does_not_come() -> None:
    diary = Diary()
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: diary, name="diary")
        first = await ref.call(Diary.remind, 0.0, "first")
        first.cancel()
        first.cancel()
        await ref.call(Diary.remind, 0.0, "second")
        await diary.noted.wait()
        assert diary.notes == ["second"]
        first.cancel()
        assert ref._process.exit_hooks == {}


async def test_a_timer_is_gone_after_a_crash_and_after_the_end() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Diary)
        timer = await ref.call(Diary.remind, LATER, "never")
        await ref.cast(Diary.fail)
        assert await ref.call(Diary.read) == []
        assert timer._handle.cancelled()
        timer = await ref.call(Diary.remind, LATER, "never")
        await ref.stop()
        assert timer._handle.cancelled()


async def test_a_message_of_a_timer_that_waits_in_the_mailbox_as_the_process_crashes_is_gone() -> None:
    gate = asyncio.Event()

    async def wait_and_fail(_: Diary) -> None:
        await gate.wait()
        raise Oops

    async with supervising() as supervisor:
        ref = await supervisor.start_child(Diary)
        await ref.call(Diary.remind, 0.0, "late")
        await ref.cast(wait_and_fail)
        await until(lambda: len(ref._process.mailbox) == 1)
        ref.info("kept")
        gate.set()
        await until(lambda: ref._process.restarts == 1)
        assert await ref.call(Diary.read) == ["kept"]


@DIARIES
async def test_a_timeout_comes_when_no_mail_does(kind: type[Diary]) -> None:
    diary = kind()
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: diary, name="diary")
        await ref.call(Diary.expect_mail, 0.001)
        await diary.noted.wait()
        assert diary.notes == ["timeout"]
        assert ref._process.mailbox.timeout is None


async def test_any_mail_takes_a_timeout_back() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Diary)
        for is_info in (True, False):
            await ref.call(Diary.expect_mail, LATER)
            timeout = ref._process.mailbox.timeout
            if is_info:
                ref.info("x")
            await ref.call(Diary.read)
            assert ref._process.mailbox.timeout is None
            assert timeout is not None
            assert timeout.cancelled()


async def test_a_timeout_does_not_come_when_mail_came_in_time_to_a_process_that_was_busy() -> None:
    gate = asyncio.Event()
    diary = Diary()

    async def wait(server: Diary) -> None:
        server.timeout_after(0.0)
        await gate.wait()

    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: diary, name="diary")
        ref.cast_nowait(wait)
        ref.info("in time")
        await until(lambda: ref._process.is_busy and ref._process.mailbox.timeout is None)
        gate.set()
        assert await ref.call(Diary.read) == ["in time"]


async def test_a_continuation_is_no_mail_to_a_timeout() -> None:
    diary = Diary()

    class Waiting(Diary):
        def init(self) -> None:
            self.timeout_after(0.001)
            self.continue_with("opened")

    diary = Waiting()
    async with supervising() as supervisor:
        await supervisor.start_child(lambda: diary, name="diary")
        await diary.noted.wait()
        assert diary.notes == ["opened", "timeout"]


async def test_a_second_timeout_takes_the_place_of_the_first_and_an_end_takes_it_back() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Diary)

        def twice(server: Diary) -> None:
            server.timeout_after(LATER)
            first = ref._process.mailbox.timeout
            server.timeout_after(LATER)
            assert first is not None
            assert first.cancelled()

        await ref.call(twice)
        timeout = ref._process.mailbox.timeout
        await ref.stop()
        assert timeout is not None
        assert timeout.cancelled()


class Ticking(Producer[int]):
    """A source that looks by itself for something to emit."""

    def __init__(self) -> None:
        self.ticks = 0

    def init(self) -> None:
        self.continue_with(None)

    def handle_continue(self, _: object) -> None:
        self.send_after(0.0, "tick")

    def handle_info(self, _: object) -> None:
        self.ticks += 1
        self.emit_nowait([self.ticks])
        if self.ticks == 3:
            self.complete()
        else:
            self.send_after(0.0, "tick")

    def handle_demand(self, demand: int) -> list[int]:
        return []


async def test_a_stage_has_these_words_too() -> None:
    topology = Topology("t")
    ticking = topology.add("ticking", Ticking)
    async with topology:
        assert [event async for event in ticking.stream()] == [1, 2, 3]
