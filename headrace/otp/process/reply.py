"""Replies that are given later than the method returns (OTP's deferred reply)."""

import asyncio
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from headrace.errors import ForeignThread, ProcessDown, ReplyGiven
from headrace.otp.process.mail import Mail
from headrace.otp.scheduler import Scheduler

R = TypeVar("R")

_NOTHING: Final = object()


class Answerer(Protocol):
    """The process that owes a reply."""

    name: str
    scheduler: Scheduler

    def at_end(self, key: object, hook: Callable[[object], None]) -> None:
        """Have `hook` told why the process ended."""

    def forget_at_end(self, key: object) -> None:
        """Take that back."""


class Reply(Generic[R]):
    """What a method returns that was called, and answers later: the caller waits, and the process goes on.

    Keep it, and say `set(result)` or `fail(error)` once, in any callback or task on the loop. When the process ends
    before that, its callers hear `ProcessDown`. One reply may be returned to several callers, who all get the answer.
    """

    __slots__ = ("_callers", "_error", "_owner", "_result")

    def __init__(self) -> None:
        self._callers: list[asyncio.Future[object]] = []
        self._owner: Answerer | None = None
        self._result: object = _NOTHING
        self._error: BaseException | None = None

    @property
    def is_given(self) -> bool:
        """Whether there is an answer."""
        return self._result is not _NOTHING or self._error is not None

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the answer now: a caller who has given up does not."""
        return any(not caller.done() for caller in self._callers)

    def set(self, result: R) -> None:
        """Give the callers what `call` is to return. Raises `ReplyGiven` when there is an answer already."""
        self._give(result, None)

    def fail(self, error: BaseException) -> None:
        """Give the callers an error, which `call` is to raise; the process goes on. Raises `ReplyGiven` as `set`."""
        self._give(_NOTHING, error)

    def promise(self, mail: Mail, owner: Answerer) -> None:
        """Answer `mail` with this, now or later: its method has returned it. What nobody waits for is dropped."""
        caller = mail.reply
        if caller is None or caller.done():
            return
        self._owner = owner
        self._callers.append(caller)
        if self.is_given:
            self._tell()
        else:
            owner.at_end(self, self._owner_ended)
            caller.add_done_callback(self._caller_left)

    def _give(self, result: object, error: BaseException | None) -> None:
        owner = self._owner
        if owner is not None and not owner.scheduler.is_own_thread():
            what = f"reply of {owner.name!r}"
            raise ForeignThread(what, "loop.call_soon_threadsafe")
        if self.is_given:
            raise ReplyGiven(owner.name if owner is not None else "it")
        self._result, self._error = result, error
        self._tell()

    def _tell(self) -> None:
        callers, self._callers = self._callers, []
        for caller in callers:
            if caller.done():
                continue
            if self._error is None:
                caller.set_result(self._result)
            else:
                caller.set_exception(self._error)
        if self._owner is not None:
            self._owner.forget_at_end(self)

    def _caller_left(self, caller: asyncio.Future[object]) -> None:
        if caller in self._callers:
            self._callers.remove(caller)
            if not self._callers and self._owner is not None:
                self._owner.forget_at_end(self)

    def _owner_ended(self, reason: object) -> None:
        callers, self._callers = self._callers, []
        for caller in callers:
            if self._owner is not None and not caller.done():
                caller.set_exception(ProcessDown(self._owner.name, reason))
