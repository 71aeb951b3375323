"""`Ref`: how other code calls, casts to and stops a process. It stays valid when the process restarts."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast, overload

from typing_extensions import override

from headrace.errors import BadOption, CallTimeout, CallToSelf, CastCircle, NoProcess, WaitForSelf
from headrace.otp.process.mailbox import Envelope, Reply
from headrace.otp.process.process import CURRENT, ExitReason, Process, ProcessStatus
from headrace.otp.process.state import check_reason, check_timeout
from headrace.otp.scheduler import Owner

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")

CALL_SECONDS: Final = 5.0
"""How long a call waits for its reply by default (OTP's default)."""

_THREADSAFE: Final = "asyncio.run_coroutine_threadsafe"


class Ref(Generic[S_co]):
    """A typed reference to the process around an `S_co`. The methods of `S_co` are its messages.

    `await ref.call(Results.find, "key")` waits for the reply; `await ref.cast(Results.add, "key")` returns once the
    mailbox has accepted the cast. Use it only in the loop's own thread.
    """

    __slots__ = ("_process", "_timeout_seconds")

    def __init__(self, process: Process[S_co], timeout_seconds: float | None = CALL_SECONDS) -> None:
        self._process = process
        self._timeout_seconds = timeout_seconds

    @override
    def __repr__(self) -> str:
        return f"<Ref {self.name!r} {self._process.state.value}>"

    @property
    def name(self) -> str:
        """The name of the process."""
        return self._process.name

    @property
    def is_alive(self) -> bool:
        """Whether the process starts or runs."""
        return self._process.is_alive

    def within(self, seconds: float | None) -> "Ref[S_co]":
        """Return a reference whose calls wait for `seconds`; None is no limit. Raises `BadOption` for another value."""
        check_timeout("seconds", seconds)
        return Ref(self._process, seconds)

    @overload
    async def call(
        self, method: Callable[Concatenate[S_co, P], Awaitable[Reply[R]]], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def call(self, method: Callable[Concatenate[S_co, P], Reply[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(
        self, method: Callable[Concatenate[S_co, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def call(self, method: Callable[Concatenate[S_co, P], R], *args: P.args, **kwargs: P.kwargs) -> R: ...

    async def call(self, method: Callable[..., object], *args: object, **kwargs: object) -> object:
        """Run `method` in the process, and return its result.

        Raises `CallTimeout` when no reply has come in time, `ProcessDown` when the process ends before it replies,
        `NoProcess` when it has ended already, and `CallToSelf` and `ForeignThread` at once. A waiting call survives a
        restart of the process. On cancellation and on a timeout, a method that has not begun does not run, and the
        reply of a method that has begun is dropped.
        """
        if not callable(method):
            raise _no_method(method)
        process = self._process
        self._check("call to", _THREADSAFE)
        if CURRENT.get(None) is process:
            raise CallToSelf(self.name)
        loop, seconds = process.scheduler.loop, self._timeout_seconds
        reply: asyncio.Future[object] = loop.create_future()
        if process.mailbox.is_full:
            return await self._call_when_there_is_room(Envelope(method, args, kwargs, reply), reply)
        process.put_nowait(Envelope(method, args, kwargs, reply))
        timer = None if seconds is None else loop.call_later(seconds, _time_out, reply, process.name, seconds)
        try:
            return await reply
        finally:
            if timer is not None:
                timer.cancel()
            reply.cancel()  # marks an error that is not read any more as retrieved

    async def _call_when_there_is_room(self, mail: Envelope, reply: asyncio.Future[object]) -> object:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._send(mail)
                return await reply
        except TimeoutError:
            if reply.done() and not reply.cancelled():  # the reply came with the timeout
                return reply.result()
            raise CallTimeout(self.name, cast("float", self._timeout_seconds)) from None
        finally:
            reply.cancel()

    async def cast(self, method: Callable[Concatenate[S_co, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run `method` in the process, later. Waits only while the mailbox is full, in the order of the senders.

        On cancellation either nothing has changed, or the mailbox had accepted the cast, and it runs. Processes that
        cast to each other in a circle, each with a full mailbox, would wait for ever: the last of them gets
        `CastCircle`, and nothing has changed. Only waits of callbacks are detected, not of tasks that callbacks have
        begun. A process that casts to itself never waits: it gets `MailboxFull`.
        """
        if not callable(method):
            raise _no_method(method)
        self._check("cast to", _THREADSAFE)
        if CURRENT.get(None) is self._process:
            self._process.put_nowait(Envelope(method, args, kwargs))
        else:
            await self._send(Envelope(method, args, kwargs))

    def cast_nowait(self, method: Callable[Concatenate[S_co, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Run `method` in the process, later. Raises `MailboxFull` when there is no free place."""
        if not callable(method):
            raise _no_method(method)
        self._check("cast to")
        self._process.put_nowait(Envelope(method, args, kwargs))

    def info(self, message: object) -> None:
        """Send any object to `handle_info` of the process. It never waits, and the mailbox is never too full for it."""
        self._check("info to")
        self._process.put_nowait(Envelope(None, (message,)))

    def stop(self, reason: ExitReason = "shutdown") -> Awaitable[object]:
        """Stop the process for good; the result can be awaited: it waits for the end, and gives the exit reason.

        Raises `NoProcess` when the process has ended already, and `BadOption` for an invalid reason. To await the
        result in a callback of the process itself, or of a process that it supervises, raises `WaitForSelf`.
        """
        self._check("stop of")
        check_reason(reason)
        self._process.stop(reason)
        if calling_process() is not None:
            return OwnEnd(cast("Process[object]", self._process))
        return asyncio.shield(cast("asyncio.Future[object]", self._process.terminated))

    async def ended(self) -> ExitReason:
        """Wait until the process has ended for good, so that no restart follows; return the exit reason.

        On cancellation nothing has changed. Raises `WaitForSelf` in a callback of the process itself.
        """
        process = self._process
        process.scheduler.check_loop("wait for the end of", process.name, _THREADSAFE)
        if CURRENT.get(None) is process and not process.terminated.done():
            raise WaitForSelf(process.name, "its own end")
        return await asyncio.shield(process.terminated)

    def _check(self, doing: str, instead: str = "loop.call_soon_threadsafe") -> None:
        process = self._process
        process.scheduler.check_loop(doing, process.name, instead)
        if process.state is ProcessStatus.ENDED:
            raise NoProcess(process.name)

    async def _send(self, mail: Envelope) -> None:
        process = self._process
        if not process.mailbox.is_full:
            process.put_nowait(mail)
            return
        sender = _waiting_callback()
        if sender is None:
            await process.mailbox.put(mail, process.scheduler.loop)
        else:
            _check_circle(sender, cast("Process[object]", process))
            waiting = sender.scheduler.waiting
            waiting[sender] = process
            try:
                await process.mailbox.put(mail, process.scheduler.loop)
            finally:
                del waiting[sender]
        process.schedule_control()


def _no_method(method: object) -> BadOption:
    return BadOption("method", method, "a method of the process, as in ref.call(Stock.count)")


def _time_out(reply: asyncio.Future[object], name: str, seconds: float) -> None:
    if not reply.done():
        reply.set_exception(CallTimeout(name, seconds))


def process_behind(ref: Ref[S], doing: str) -> Process[object]:
    """Return the process of a reference, if it may be used here. Raises as `Scheduler.check_loop`."""
    if not isinstance(ref, Ref):
        raise BadOption("ref", ref, "the Ref of a process")
    process = cast("Process[object]", ref._process)  # noqa: SLF001 - both are of this file
    process.scheduler.check_loop(doing, process.name)
    return process


def _waiting_callback() -> Process[object] | None:
    """Return the process whose callback waits now; None in a task that a callback has begun."""
    process = CURRENT.get(None)
    return process if process is not None and process.is_awaiting() else None


def _check_circle(sender: Process[object], receiver: Process[object]) -> None:
    """Raise `CastCircle` when `receiver` waits, directly or through others, for a place in the mailbox of `sender`."""
    names = [sender.name]
    process: Owner | None = receiver
    while isinstance(process, Process):
        names.append(process.name)
        if process is sender:
            raise CastCircle(names, receiver.mailbox.statistics().limit)
        process = process.scheduler.waiting.get(process)


def calling_process() -> Process[object] | None:
    """Return the process whose callback runs now; None in a task of a callback, and outside of processes."""
    process = CURRENT.get(None)
    return process if process is not None and process.is_in_callback() else None


def check_end_of(process: Process[object], what: str) -> None:
    """Raise `WaitForSelf` in a callback of `process`, or of a process that it supervises: its end would never come."""
    calling = calling_process()
    if calling is not None and _is_part_of(calling, process):
        raise WaitForSelf(calling.name, what)


def _is_part_of(process: Process[object], whole: Process[object]) -> bool:
    return process is whole or any(_is_part_of(process, child) for child in whole.child_entries())


class OwnEnd:
    """The end of a process that was stopped in a callback: other code may await it, its own callbacks may not."""

    __slots__ = ("_process",)

    def __init__(self, process: Process[object]) -> None:
        self._process = process

    def __await__(self) -> Generator[Any, None, ExitReason]:
        """Wait until the process has ended. Raises `WaitForSelf` in its own callbacks."""
        check_end_of(self._process, f"the end of {self._process.name!r}")
        return asyncio.shield(self._process.terminated).__await__()
