"""A reference to a process: how others talk to it. It stays good when the process restarts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, Final, Generic, ParamSpec, TypeVar, cast, overload

from headrace.ground.errors import CallTimeout, CallToSelf, ForeignThread, NoProcess
from headrace.pipeline.process.mail import Mail
from headrace.pipeline.process.process import CURRENT, Process, State

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")

CALL_SECONDS: Final = 5.0
"""How long a call waits for its reply unless told otherwise (OTP's default)."""


class Ref(Generic[S]):
    """A typed reference to the process around an `S`. The methods of `S` are its messages.

    `await ref.call(Results.find, "key")` waits for the turn and the reply; `await ref.cast(Results.add, "key")`
    returns once the mailbox has taken it in. Everything here is for the loop's own thread.
    """

    __slots__ = ("_process", "_timeout_seconds")

    def __init__(self, process: Process[S], timeout_seconds: float = CALL_SECONDS) -> None:
        self._process = process
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        return f"<Ref {self.name!r} {self._process.state.value}>"

    @property
    def name(self) -> str:
        """The name of the process."""
        return self._process.name

    @property
    def is_alive(self) -> bool:
        """Whether the process runs, or is about to."""
        return self._process.state in (State.STARTING, State.RUNNING)

    def within(self, seconds: float) -> "Ref[S]":
        """Return a reference whose calls wait that long."""
        return Ref(self._process, seconds)

    @overload
    async def call(self, method: Callable[Concatenate[S, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, method: Callable[Concatenate[S, P], R], *args: P.args, **kwargs: P.kwargs) -> R: ...

    async def call(self, method: Callable[..., object], *args: object, **kwargs: object) -> object:
        """Run `method` in the process, and return what it returns.

        Raises `CallTimeout` when no reply has come in time, `ProcessDown` when the process ends before it replies,
        `NoProcess` when it has ended, `CallToSelf` and `ForeignThread` at once. Mail that waits survives a restart of
        the process. When the caller is cancelled or gives up, a method that has not begun is not run, and the reply of
        one that has is dropped.
        """
        self._check(f"call to {self.name!r}", "asyncio.run_coroutine_threadsafe")
        process = self._process
        if CURRENT.get(None) is process:
            raise CallToSelf(self.name)
        reply: asyncio.Future[object] = process.scheduler.loop.create_future()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._send(Mail(method, args, kwargs, reply))
                return await reply
        except TimeoutError:
            if reply.done() and not reply.cancelled():  # they came at the same time
                return reply.result()
            raise CallTimeout(self.name, self._timeout_seconds) from None
        finally:
            reply.cancel()  # one that has come, and is not read any more, counts as seen

    async def cast(self, method: Callable[Concatenate[S, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have `method` run in the process, later; wait only while the mailbox is full, and then in order.

        A cast that is cancelled while it waits changes nothing; one that was taken in as it was cancelled is run.
        Two processes that cast into each other's full mailboxes wait for each other, and nothing is lost or out of
        order, until either is stopped: where that can be, use `cast_nowait` and decide what to do without.
        A process that casts to itself does not wait, for it would forever: it gets `MailboxFull`.
        """
        self._check(f"cast to {self.name!r}", "asyncio.run_coroutine_threadsafe")
        if CURRENT.get(None) is self._process:
            self._send_nowait(Mail(method, args, kwargs))
        else:
            await self._send(Mail(method, args, kwargs))

    def cast_nowait(self, method: Callable[Concatenate[S, P], object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have `method` run in the process, later; raise `MailboxFull` when there is no room."""
        self._check(f"cast to {self.name!r}", "loop.call_soon_threadsafe")
        self._send_nowait(Mail(method, args, kwargs))

    def info(self, message: object) -> None:
        """Send anything at all; `handle_info` of the process gets it. Never waits, never full."""
        self._check(f"info to {self.name!r}", "loop.call_soon_threadsafe")
        self._send_nowait(Mail(None, (message,)))

    def stop(self) -> Awaitable[object]:
        """Stop the process for good; await the result to wait until it has ended, which gives the reason.

        Raises `NoProcess` when it has ended before.
        """
        self._check(f"stop of {self.name!r}", "loop.call_soon_threadsafe")
        self._process.stop()
        return asyncio.shield(cast("asyncio.Future[object]", self._process.buried))

    def _check(self, what: str, instead: str) -> None:
        if not self._process.scheduler.is_own_thread():
            raise ForeignThread(what, instead)
        if self._process.state is State.ENDED:
            raise NoProcess(self.name)

    async def _send(self, mail: Mail) -> None:
        await self._process.mailbox.put(mail, self._process.scheduler.loop)
        self._has_mail()

    def _send_nowait(self, mail: Mail) -> None:
        self._process.mailbox.put_nowait(mail)
        self._has_mail()

    def _has_mail(self) -> None:
        self._process.needs_attention = True
        self._process.scheduler.wake(self._process.turns)
