"""A reference to a process: how others talk to it. It stays good when the process restarts."""

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

    `await ref.call(Results.find, "key")` waits for the turn and the reply; `await ref.cast(Results.add, "key")`
    returns once the mailbox has taken it in. Everything here is for the loop's own thread.
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
        """Whether the process runs, or is about to."""
        return self._process.state in (ProcessStatus.STARTING, ProcessStatus.RUNNING)

    def within(self, seconds: float | None) -> "Ref[S_co]":
        """Return a reference whose calls wait that long, None for ever. Raises `BadOption` if it is no time."""
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
        `NoProcess` when it has ended, `CallToSelf` and `ForeignThread` at once. Mail that waits survives a restart of
        the process. When the caller is cancelled or gives up, a method that has not begun is not run, and the reply of
        one that has is dropped.
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
            reply.cancel()  # one that has come, and is not read any more, counts as seen

    async def _call_when_there_is_room(self, mail: Envelope, reply: asyncio.Future[object]) -> object:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._send(mail)
                return await reply
        except TimeoutError:
            if reply.done() and not reply.cancelled():  # they came at the same time
                return reply.result()
            raise CallTimeout(self.name, cast("float", self._timeout_seconds)) from None
        finally:
            reply.cancel()

    async def cast(self, method: Callable[Concatenate[S_co, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have `method` run in the process, later; wait only while the mailbox is full, and then in order.

        A cast that is cancelled while it waits changes nothing; one that was taken in as it was cancelled is run.
        Two processes that cast into each other's full mailboxes, or more of them in a circle, would wait for ever: the
        last one gets `CastCircle`, and its cast has changed nothing. Only callbacks are known to wait, not tasks that
        they have begun.
        A process that casts to itself does not wait, for it would forever: it gets `MailboxFull`.
        """
        if not callable(method):
            raise _no_method(method)
        self._check("cast to", _THREADSAFE)
        if CURRENT.get(None) is self._process:
            self._process.put_nowait(Envelope(method, args, kwargs))
        else:
            await self._send(Envelope(method, args, kwargs))

    def cast_nowait(self, method: Callable[Concatenate[S_co, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have `method` run in the process, later; raise `MailboxFull` when there is no room."""
        if not callable(method):
            raise _no_method(method)
        self._check("cast to")
        self._process.put_nowait(Envelope(method, args, kwargs))

    def info(self, message: object) -> None:
        """Send anything at all; `handle_info` of the process gets it. Never waits, never full."""
        self._check("info to")
        self._process.put_nowait(Envelope(None, (message,)))

    def stop(self, reason: ExitReason = "shutdown") -> Awaitable[object]:
        """Stop the process for good; await the result to wait until it has ended, which gives the reason.

        Raises `NoProcess` when it has ended before, and `BadOption` for a value that is no reason. To await it in a
        callback of the process itself, or of one that it supervises, raises `WaitForSelf`.
        """
        self._check("stop of")
        check_reason(reason)
        self._process.stop(reason)
        if calling_process() is not None:
            return OwnEnd(cast("Process[object]", self._process))
        return asyncio.shield(cast("asyncio.Future[object]", self._process.terminated))

    async def ended(self) -> ExitReason:
        """Wait until the process has ended for good, which no restart follows; return why.

        From any coroutine on the loop; on cancellation nothing has changed. Raises `WaitForSelf` in a callback of the
        process itself, which would wait forever.
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
    """Return the process that a reference stands for, if it is to be had here. Raises as `Scheduler.check_loop`."""
    if not isinstance(ref, Ref):
        raise BadOption("ref", ref, "the Ref of a process")
    process = cast("Process[object]", ref._process)  # noqa: SLF001 - this file's own
    process.scheduler.check_loop(doing, process.name)
    return process


def _waiting_callback() -> Process[object] | None:
    """Return the process whose running callback is what waits now; a task that it has begun is another matter."""
    process = CURRENT.get(None)
    return process if process is not None and process.is_awaiting() else None


def _check_circle(sender: Process[object], receiver: Process[object]) -> None:
    """Raise `CastCircle` when `receiver` waits, by way of others maybe, for room in the mailbox of `sender`."""
    names = [sender.name]
    process: Owner | None = receiver
    while isinstance(process, Process):
        names.append(process.name)
        if process is sender:
            raise CastCircle(names, receiver.mailbox.statistics().limit)
        process = process.scheduler.waiting.get(process)


def calling_process() -> Process[object] | None:
    """Return the process whose callback runs now; None in a task that a callback has begun, and outside of any."""
    process = CURRENT.get(None)
    return process if process is not None and process.is_in_callback() else None


def check_end_of(process: Process[object], what: str) -> None:
    """Raise `WaitForSelf` in a callback of `process`, or of one that it supervises, for such an end never comes."""
    calling = calling_process()
    if calling is not None and _is_part_of(calling, process):
        raise WaitForSelf(calling.name, what)


def _is_part_of(process: Process[object], whole: Process[object]) -> bool:
    return process is whole or any(_is_part_of(process, child) for child in whole.child_entries())


class OwnEnd:
    """The end of a process that one of its callbacks has stopped: others may await it, and the callback may not."""

    __slots__ = ("_process",)

    def __init__(self, process: Process[object]) -> None:
        self._process = process

    def __await__(self) -> Generator[Any, None, ExitReason]:
        """Wait until the process has ended. Raises `WaitForSelf` in its own callbacks."""
        check_end_of(self._process, f"the end of {self._process.name!r}")
        return asyncio.shield(self._process.terminated).__await__()
