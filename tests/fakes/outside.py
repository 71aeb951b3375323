"""Functions that executors run in other OS processes: those that succeed, fail, die, hang and do not fit through."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn


def add(left: int, right: int) -> int:
    return left + right


async def add_later(left: int, right: int) -> int:
    await asyncio.sleep(0)
    return left + right


def echo(value: object) -> object:
    return value


def pid() -> int:
    return os.getpid()


def modules() -> list[str]:
    return sorted(sys.modules)


class Sold(Exception):
    """An error that crosses as what it is."""


class Awkward(Exception):
    """An error that can be pickled, but not unpickled."""

    def __init__(self, article: str, count: int) -> None:
        super().__init__(f"{count} of {article}")


class Unspeakable(Exception):
    """An error whose message cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


def sell(article: str) -> NoReturn:
    raise Sold(article)


async def sell_later(article: str) -> NoReturn:
    raise Sold(article)


def sell_awkwardly() -> NoReturn:
    raise Awkward("rope", 3)


_LOOPS: list[asyncio.AbstractEventLoop] = []


async def halved_later(number: object) -> float:
    """Return half of a number after a turn of the loop; sells what is none, and 0 awkwardly."""
    await asyncio.sleep(0)
    if not isinstance(number, int):
        raise Sold(number)
    if not number:
        sell_awkwardly()
    return number / 2


async def is_loop_of_before(number: int) -> bool:
    """Return whether it runs in the loop of the first call."""
    _LOOPS.append(asyncio.get_running_loop())
    return _LOOPS[-1] is _LOOPS[0]


def sell_unspeakably() -> NoReturn:
    raise Unspeakable(lambda: 0)


def leave() -> NoReturn:
    sys.exit(3)


def cancel() -> NoReturn:
    raise asyncio.CancelledError


def exit_at_once(code: int) -> None:
    os._exit(code)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def unpicklable() -> object:
    return lambda: 0


def interrupt_itself() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "still here"


def tell(fifo: Path) -> None:
    """Say who runs, to whoever reads the other end."""
    fifo.write_text(str(os.getpid()))


def hang(fifo: Path | None = None) -> None:
    """Never return, but end when terminated."""
    if fifo is not None:
        tell(fifo)
    while True:
        signal.pause()


async def hang_later(fifo: Path) -> None:
    try:
        tell(fifo)
        await asyncio.Event().wait()
    finally:
        fifo.with_suffix(".cleaned").touch()


def hang_and_clean(fifo: Path) -> None:
    try:
        hang(fifo)
    finally:
        fifo.with_suffix(".cleaned").touch()


def hang_stubbornly(fifo: Path) -> None:
    """Never return, whatever is said."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang(fifo)


def swallow(fifo: Path) -> str:
    """Return although it is terminated."""
    with contextlib.suppress(BaseException):
        hang(fifo)
    return "swallowed"


def deaf(fifo: Path) -> None:
    """Close the pipe to whoever started it, and everything else, and never return."""
    tell(fifo)
    os.closerange(3, 1000)
    hang()


class Unwelcome:
    """What can be pickled, and cannot be unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (int, ("not a number",))


class Heavy:
    """What cannot be pickled."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("too heavy to be carried")  # noqa: TRY003 - it stands for anybody's


def unwelcome() -> Unwelcome:
    return Unwelcome()


def hang_at(fifo: str) -> None:
    hang(Path(fifo))


def hang_stubbornly_at(fifo: str) -> None:
    hang_stubbornly(Path(fifo))


def spin_at(fifo: str) -> None:
    tell(Path(fifo))
    while True:
        pass


def hold_the_lock_at(fifo: str) -> None:
    """Compute for minutes in one step of C, in which no other thread of the interpreter runs."""
    tell(Path(fifo))
    pow(3, 10**9)


def outlive_sigterm(fifo: Path) -> str:
    """Return once a signal to end has come, and has been handled by whoever handles it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    tell(fifo)
    while signal.SIGTERM not in signal.sigpending():
        os.sched_yield()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    return "it was let through"
