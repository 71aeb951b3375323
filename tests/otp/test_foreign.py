"""What is done to a process from elsewhere than its own loop: one clear sentence, and nothing happens."""

import asyncio
from collections.abc import Callable

import pytest

from headrace.errors import ForeignLoop, ForeignThread, NoProcess, ProcessError
from headrace.otp.gen_server import GenServer
from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler
from headrace.otp.supervision.supervisor import Supervisor
from tests.fakes.processes import supervising


class Counter(GenServer):
    """Counts, and does what it is told to do with itself."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count

    def read(self) -> int:
        return self.count

    def itself(self) -> "Counter":
        return self

    def handle_timeout(self) -> None:
        self.count += 100

    def handle_continue(self, _: object) -> None:
        self.count += 100

    def handle_info(self, _: object) -> None:
        self.count += 100


AWAITED = ["call", "cast", "ended"]

WORDS: dict[str, Callable[[Counter, Ref[Counter]], object]] = {
    "stop()": lambda counter, _: counter.stop(),
    "continue_with()": lambda counter, _: counter.continue_with(),
    "timeout_after()": lambda counter, _: counter.timeout_after(0),
    "send_after()": lambda counter, _: counter.send_after(0, "x"),
    "monitor()": lambda counter, ref: counter.monitor(ref),
    "link()": lambda counter, ref: counter.link(ref),
    "unlink()": lambda counter, ref: counter.unlink(ref),
}


async def do(ref: Ref[Counter], word: str) -> None:
    """Do one of the things that are done with a reference."""
    match word:
        case "call":
            await ref.call(Counter.add)
        case "cast":
            await ref.cast(Counter.add)
        case "ended":
            await ref.ended()
        case "cast_nowait":
            ref.cast_nowait(Counter.add)
        case "info":
            ref.info("x")
        case _:
            await ref.stop()


async def refused(ref: Ref[Counter], word: str) -> ProcessError:
    """Return the error with which something is refused."""
    with pytest.raises(ProcessError) as caught:
        await do(ref, word)
    return caught.value


@pytest.mark.parametrize("word", [*AWAITED, "cast_nowait", "info", "stop"])
def test_whatever_is_done_from_another_loop_is_refused_in_the_same_thread_and_in_another(word: str) -> None:
    with asyncio.Runner() as home, asyncio.Runner() as abroad:

        async def begin() -> tuple[Supervisor, Ref[Counter]]:
            supervisor = Supervisor("supervisor", Scheduler())
            supervisor.start()
            return supervisor, await supervisor.start_child(Counter)

        supervisor, ref = home.run(begin())
        error = abroad.run(refused(ref, word))
        assert isinstance(error, ForeignLoop)
        assert "'Counter' from another event loop than the one it lives on: make it there" in str(error)
        error = home.run(asyncio.to_thread(asyncio.run, refused(ref, word)))
        assert isinstance(error, ForeignThread)
        advice = "asyncio.run_coroutine_threadsafe" if word in AWAITED else "loop.call_soon_threadsafe"
        assert advice in str(error)
        assert home.run(ref.call(Counter.read)) == 0

        async def finish() -> None:
            supervisor.stop()
            await supervisor.terminated

        home.run(finish())


def test_what_is_sent_when_the_loop_is_closed_is_refused() -> None:
    async def begin() -> Ref[Counter]:
        supervisor = Supervisor("supervisor", Scheduler())
        supervisor.start()
        return await supervisor.start_child(Counter)

    with asyncio.Runner() as home:
        ref = home.run(begin())
        ref.cast_nowait(Counter.add)
        assert home.run(ref.call(Counter.read)) == 1
    with pytest.raises(NoProcess, match="'Counter' is not running"):
        ref.cast_nowait(Counter.add)


@pytest.mark.asyncio
@pytest.mark.parametrize("word", WORDS)
async def test_the_words_of_a_server_are_refused_in_another_thread(word: str) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Counter)
        other = await supervisor.start_child(Counter, name="other")
        counter = await ref.call(Counter.itself)
        with pytest.raises(ForeignThread) as caught:
            await asyncio.to_thread(WORDS[word], counter, other)
        assert str(caught.value).startswith(f"{word} of 'Counter' from a foreign thread: use loop.call_soon_threadsafe")
        assert await ref.call(Counter.read) == 0
        assert ref._process.exit_hooks is None
        assert other._process.exit_hooks is None
