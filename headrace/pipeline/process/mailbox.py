"""What comes to a process from outside the graph: calls, casts and info, in the order in which they came."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.ground.errors import MailboxFull

MAILBOX_LIMIT: Final = 10_000
"""How many calls and casts a mailbox holds unless told otherwise."""


@dataclass(slots=True)
class Mail:
    """One call (it has a `reply`), cast (it has a `method` only) or info (it has neither)."""

    method: Callable[..., object] | None
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    reply: asyncio.Future[object] | None = None


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """How full a mailbox is: mail that waits, of it what counts against the bound, and those who wait for room."""

    waiting: int
    counted: int
    limit: int
    senders: int


class Mailbox:
    """A queue in which calls and casts count against the bound, and nothing else does."""

    def __init__(self, owner: str, limit: int = MAILBOX_LIMIT) -> None:
        self._owner = owner
        self._limit = limit
        self._mail: deque[Mail] = deque()
        self._counted = 0
        self._senders: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._mail)

    def statistics(self) -> MailboxStatistics:
        """Return how full it is now."""
        return MailboxStatistics(len(self._mail), self._counted, self._limit, len(self._senders))

    def put_nowait(self, mail: Mail) -> None:
        """Take mail in, or raise `MailboxFull`; info is always taken."""
        if mail.method is not None:
            if self._counted >= self._limit:
                raise MailboxFull(self._owner, self._limit)
            self._counted += 1
        self._mail.append(mail)

    async def put(self, mail: Mail, loop: asyncio.AbstractEventLoop) -> None:
        """Take mail in, waiting while the mailbox is full. On cancellation either it was taken, or nothing changed."""
        while self._counted >= self._limit or self._senders:
            turn = loop.create_future()
            self._senders.append(turn)
            try:
                await turn
            except BaseException:
                if turn in self._senders:
                    self._senders.remove(turn)
                elif self._senders:
                    self._let_in_next()
                raise
            if self._counted < self._limit:
                break
        self.put_nowait(mail)
        if self._counted < self._limit:
            self._let_in_next()

    def take(self) -> Mail:
        """Remove and return the oldest mail; let a waiting sender in. Raises IndexError when there is none."""
        mail = self._mail.popleft()
        if mail.method is not None:
            self._counted -= 1
            self._let_in_next()
        return mail

    def empty(self) -> list[Mail]:
        """Remove and return all mail, and let all waiting senders find out."""
        mail = list(self._mail)
        self._mail.clear()
        self._counted = 0
        while self._senders:
            self._let_in_next()
        return mail

    def _let_in_next(self) -> None:
        while self._senders:
            turn = self._senders.popleft()
            if not turn.done():
                turn.set_result(None)
                return
