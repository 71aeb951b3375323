"""Mail: one thing that somebody wants of a process, and what the sender hears of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from headrace.errors import NoCallback, ProcessDown, short_repr
from headrace.telemetry.events import LOG


@dataclass(slots=True, eq=False)
class Mail:
    """One call (it has a `reply`), cast (it has a `method` only) or info (it has neither)."""

    method: Callable[..., object] | None
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    reply: asyncio.Future[object] | None = None

    @property
    def is_cast(self) -> bool:
        """Whether nobody hears when it is lost."""
        return self.method is not None and self.reply is None

    @property
    def is_given_up(self) -> bool:
        """Whether the caller no longer waits, so that nothing need be done."""
        return self.reply is not None and self.reply.done()

    def open(self, callbacks: object, owner: str) -> object:
        """Do what it wants of `callbacks`, and return what that returns, which may be awaitable.

        A method is looked up by its name, so that a subclass's own is the one that runs; a function that belongs to no
        class is called as it is.
        """
        if self.method is None:
            handle_info = getattr(callbacks, "handle_info", None)
            if handle_info is None:
                LOG.warning("process %r has no handle_info and drops %s", owner, short_repr(self.args[0]))
                return None
            return cast("object", handle_info(*self.args))
        method = self.method
        own = getattr(callbacks, getattr(method, "__name__", ""), None)
        if own is not None and (getattr(own, "__func__", None) is method or _is_method(method)):
            return cast("object", own(*self.args, **self.kwargs))
        return method(callbacks, *self.args, **self.kwargs)

    def answer(self, result: object) -> None:
        """Give the caller, if there is one who still waits, its reply."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(result)

    def fail(self, owner: str, reason: object) -> None:
        """Tell the caller, if there is one who still waits, that the process ended with `reason`."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(ProcessDown(owner, reason))


@dataclass(slots=True, eq=False)
class OwnMail(Mail):
    """Info that concerns one life of a process, and is gone with it: timers, downs and exits."""


@dataclass(slots=True, eq=False)
class Continuation(OwnMail):
    """What a callback wants done before any other mail (OTP's continue)."""

    def open(self, callbacks: object, owner: str) -> object:
        """Call `handle_continue`."""
        handle_continue = getattr(callbacks, "handle_continue", None)
        if handle_continue is None:
            raise NoCallback(owner, "handle_continue(self, argument)")
        return cast("object", handle_continue(*self.args))


@dataclass(slots=True, eq=False)
class Timeout(OwnMail):
    """What a process gets that has waited for mail in vain (OTP's timeout)."""

    def open(self, callbacks: object, owner: str) -> object:
        """Call `handle_timeout`."""
        handle_timeout = getattr(callbacks, "handle_timeout", None)
        if handle_timeout is None:
            raise NoCallback(owner, "handle_timeout(self)")
        return cast("object", handle_timeout())


def fail_mail(owner: str, mails: Sequence[Mail], reason: object) -> None:
    """Tell all who sent it that their mail was not handled, and the log of casts: nobody else hears of those."""
    for mail in mails:
        mail.fail(owner, reason)
    casts = sum(mail.is_cast for mail in mails)
    if casts:
        LOG.warning("process %r ended with %d casts in its mailbox, which are lost", owner, casts)


def _is_method(function: Callable[..., object]) -> bool:
    """Tell whether a function was written in the body of a class."""
    above = getattr(function, "__qualname__", "").rpartition(".")[0]
    return above != "" and not above.endswith("<locals>")
