"""The mailbox, its envelopes, and replies."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, Generic, Protocol, TypeVar, cast

from typing_extensions import override

from headrace.errors import MailboxFull, NoProcess, ProcessDown, ReplyGiven, short_repr
from headrace.otp.process.callbacks import overridden, required
from headrace.otp.process.state import MAILBOX_LIMIT
from headrace.otp.scheduler import Scheduler
from headrace.telemetry.events import LOG


@dataclass(slots=True, eq=False)
class Envelope:
    """A call (it has a `reply`), a cast (it has a `method` only) or an info (it has neither)."""

    method: Callable[..., object] | None
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    reply: asyncio.Future[object] | None = None

    @property
    def is_cast(self) -> bool:
        """Whether it is a cast, whose loss no caller notices."""
        return self.method is not None and self.reply is None

    @property
    def is_abandoned(self) -> bool:
        """Whether the caller has stopped waiting, so that the call need not run."""
        return self.reply is not None and self.reply.done()

    def open(self, callbacks: object, owner: str) -> object:
        """Call the method of `callbacks`, and return its result, which may be awaitable.

        The method is looked up by name, so that an override in a subclass runs. A function outside of a class is called
        as it is.
        """
        if self.method is None:
            handle_info = overridden(callbacks, "handle_info")
            if handle_info is None:
                LOG.warning("process %r has no handle_info and drops %s", owner, short_repr(self.args[0]))
                return None
            return handle_info(*self.args)
        method = self.method
        own = getattr(callbacks, getattr(method, "__name__", ""), None)
        if own is not None and (getattr(own, "__func__", None) is method or _is_method(method)):
            return cast("object", own(*self.args, **self.kwargs))
        return method(callbacks, *self.args, **self.kwargs)

    def answer(self, result: object) -> None:
        """Reply to the caller, if one still waits."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(result)

    def fail(self, owner: str, reason: object) -> None:
        """Raise `ProcessDown` in the caller, if one still waits: the process ended with `reason`."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(ProcessDown(owner, reason))


@dataclass(slots=True, eq=False)
class OwnEnvelope(Envelope):
    """An info about one life of a process, dropped when that life ends: of timers, monitors and links."""


@dataclass(slots=True, eq=False)
class Continuation(OwnEnvelope):
    """The argument of `handle_continue`, which runs before other entries of the mailbox (OTP's continue)."""

    @override
    def open(self, callbacks: object, owner: str) -> object:
        return required(callbacks, "handle_continue", owner, "self, argument")(*self.args)


@dataclass(slots=True, eq=False)
class Timeout(OwnEnvelope):
    """The info to a process that got nothing within its timeout (OTP's timeout)."""

    @override
    def open(self, callbacks: object, owner: str) -> object:
        return required(callbacks, "handle_timeout", owner)()


def fail_mail(owner: str, mails: Sequence[Envelope], reason: object) -> None:
    """Fail the calls among unhandled envelopes, and log the number of lost casts."""
    for mail in mails:
        mail.fail(owner, reason)
    casts = sum(mail.is_cast for mail in mails)
    if casts:
        LOG.warning("process %r ended with %d casts in its mailbox, which are lost", owner, casts)


def _is_method(function: Callable[..., object]) -> bool:
    """Return whether a function was written in the body of a class."""
    above = getattr(function, "__qualname__", "").rpartition(".")[0]
    return above != "" and not above.endswith("<locals>")


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """The fill of a mailbox: waiting envelopes, the calls and casts among them, and senders that wait for a place."""

    waiting: int
    counted: int
    limit: int
    senders: int


_NO_MAIL: Final[deque[Envelope]] = deque(maxlen=0)
"""The queue of every empty mailbox: a deque of its own takes 760 bytes, most of an idle process."""


class Mailbox:
    """A queue with a bound on calls and casts; an info never counts.

    Always: senders wait only while the mailbox is full. A free place goes at once to the sender that has waited
    longest, so no later sender overtakes, and the order of each sender is kept.
    """

    __slots__ = ("_counted", "_is_closed", "_limit", "_mail", "_owner", "_senders", "timeout")

    def __init__(self, owner: str, limit: int = MAILBOX_LIMIT) -> None:
        self._owner = owner
        self._limit = limit
        self._mail = _NO_MAIL
        self._counted = 0
        self._senders: dict[asyncio.Future[bool], Envelope] | None = None
        self._is_closed = False
        self.timeout: asyncio.TimerHandle | None = None
        """The timer that ends the wait for an envelope; the next envelope cancels it."""

    def __len__(self) -> int:
        return len(self._mail)

    @property
    def is_full(self) -> bool:
        """Whether a call or a cast would have to wait."""
        return self._counted >= self._limit

    def statistics(self) -> MailboxStatistics:
        """Return the present fill."""
        return MailboxStatistics(len(self._mail), self._counted, self._limit, len(self._senders or ()))

    def put_nowait(self, mail: Envelope) -> None:
        """Add an envelope. Raises `MailboxFull` (never for an info), and `NoProcess` once closed."""
        if self._is_closed:
            raise NoProcess(self._owner)
        if mail.method is not None:
            if self._counted >= self._limit:
                raise MailboxFull(self._owner, self._limit)
            self._counted += 1
        self._fill().append(mail)

    async def put(self, mail: Envelope, loop: asyncio.AbstractEventLoop) -> None:
        """Add an envelope, waiting while the mailbox is full. Raises `NoProcess` once closed.

        On cancellation either nothing has changed or, if a place was free already, the envelope was added.
        """
        if self._is_closed or not self.is_full:
            self.put_nowait(mail)
            return
        room = loop.create_future()
        if self._senders is None:
            self._senders = {}
        self._senders[room] = mail
        try:
            was_taken = await room
        finally:
            self._senders.pop(room, None)
        if not was_taken:
            raise NoProcess(self._owner)

    def take(self) -> Envelope:
        """Remove and return the oldest envelope; a waiting sender gets its place. Raises IndexError when empty."""
        mail = self._mail.popleft()
        if not self._mail:
            self._mail = _NO_MAIL
        if self.timeout is not None and not isinstance(mail, Continuation):
            self.forget_timeout()
        if mail.method is not None:
            self._counted -= 1
            if self._senders:
                self._let_in(self._senders)
        return mail

    def close(self) -> list[Envelope]:
        """Remove and return all envelopes, and accept no more: waiting and later senders get `NoProcess`."""
        self._is_closed = True
        self.forget_timeout()
        mail, self._mail = list(self._mail), _NO_MAIL
        self._counted = 0
        for room in self._senders or ():
            if not room.done():
                room.set_result(False)
        return mail

    def forget_timeout(self) -> None:
        """Cancel the timeout, if one is set."""
        if self.timeout is not None:
            self.timeout.cancel()
            self.timeout = None

    def put_first(self, mail: Continuation) -> None:
        """Put a continuation before all envelopes but earlier continuations."""
        before = sum(1 for _ in takewhile(lambda other: isinstance(other, Continuation), self._mail))
        self._fill().insert(before, mail)

    def drop_own(self) -> None:
        """Remove the envelopes about one life of the process, and cancel the timeout."""
        self.forget_timeout()
        self.drop(lambda _: True)

    def drop(self, is_dropped: Callable[[OwnEnvelope], bool]) -> None:
        """Remove those envelopes about one life of the process for which `is_dropped` is true."""
        if any(isinstance(mail, OwnEnvelope) for mail in self._mail):
            kept = [mail for mail in self._mail if not (isinstance(mail, OwnEnvelope) and is_dropped(mail))]
            self._mail = deque(kept) if kept else _NO_MAIL

    def _fill(self) -> deque[Envelope]:
        if self._mail is _NO_MAIL:
            self._mail = deque()
        return self._mail

    def _let_in(self, senders: dict[asyncio.Future[bool], Envelope]) -> None:
        while senders and not self.is_full:
            room = next(iter(senders))
            mail = senders.pop(room)
            if not room.done():
                self.put_nowait(mail)
                room.set_result(True)


R = TypeVar("R")

_NOTHING: Final = object()


class Answerer(Protocol):
    """The process that owes a reply."""

    name: str
    scheduler: Scheduler

    def on_exit(self, key: object, hook: Callable[[object], None]) -> None:
        """Call `hook` with the exit reason when the process ends."""

    def remove_on_exit(self, key: object) -> None:
        """Remove the hook of `key`."""


class Reply(Generic[R]):
    """Returned by a method that answers later: the caller waits, and the process goes on.

    Keep it, and call `set(result)` or `fail(error)` once, in any callback or task on the loop. When the process ends
    before that, the callers get `ProcessDown`. One reply may be returned to several callers, who all get the answer.
    """

    __slots__ = ("_callers", "_error", "_owner", "_result")

    def __init__(self) -> None:
        self._callers: list[asyncio.Future[object]] = []
        self._owner: Answerer | None = None
        self._result: object = _NOTHING
        self._error: BaseException | None = None

    @property
    def is_given(self) -> bool:
        """Whether `set` or `fail` was called."""
        return self._result is not _NOTHING or self._error is not None

    @property
    def is_awaited(self) -> bool:
        """Whether a caller waits for the answer now. A caller whose call timed out does not."""
        return any(not caller.done() for caller in self._callers)

    def set(self, result: R) -> None:
        """Make `call` return `result`. Raises `ReplyGiven` when there is an answer already."""
        self._give(result, None)

    def fail(self, error: BaseException) -> None:
        """Make `call` raise `error`; the process goes on. Raises `ReplyGiven` when there is an answer already."""
        self._give(_NOTHING, error)

    def promise(self, mail: Envelope, owner: Answerer) -> None:
        """Answer `mail`, whose method returned this reply, now or later. Without a waiting caller nothing happens."""
        caller = mail.reply
        if caller is None or caller.done():
            return
        self._owner = owner
        self._callers.append(caller)
        if self.is_given:
            self._resolve()
        else:
            owner.on_exit(self, self._owner_ended)
            caller.add_done_callback(self._caller_left)

    def _give(self, result: object, error: BaseException | None) -> None:
        owner = self._owner
        if owner is not None:
            owner.scheduler.check_thread(f"reply of {owner.name!r}")
        if self.is_given:
            raise ReplyGiven(owner.name if owner is not None else "it")
        self._result, self._error = result, error
        self._resolve()

    def _resolve(self) -> None:
        callers, self._callers = self._callers, []
        for caller in callers:
            if caller.done():
                continue
            if self._error is None:
                caller.set_result(self._result)
            else:
                caller.set_exception(self._error)
        if self._owner is not None:
            self._owner.remove_on_exit(self)

    def _caller_left(self, caller: asyncio.Future[object]) -> None:
        if caller in self._callers:
            self._callers.remove(caller)
            if not self._callers and self._owner is not None:
                self._owner.remove_on_exit(self)

    def _owner_ended(self, reason: object) -> None:
        callers, self._callers = self._callers, []
        for caller in callers:
            if self._owner is not None and not caller.done():
                caller.set_exception(ProcessDown(self._owner.name, reason))
