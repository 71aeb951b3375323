"""Where a process's mail waits, in the order in which it came."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from headrace.errors import MailboxFull, NoProcess
from headrace.otp.process.mail import Continuation, Mail, OwnMail
from headrace.otp.process.settings import MAILBOX_LIMIT


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """How full a mailbox is: mail that waits, of it what counts against the bound, and those who wait for room."""

    waiting: int
    counted: int
    limit: int
    senders: int


_NO_MAIL: Final[deque[Mail]] = deque(maxlen=0)
"""What all empty mailboxes share, for a deque takes 760 bytes: most of an idle process."""


class Mailbox:
    """A queue in which calls and casts count against the bound, and nothing else does.

    Always: senders wait only while it is full. Room goes at once to the mail of the one who has waited longest, so
    nobody who comes later gets in between, and order per sender is kept.
    """

    __slots__ = ("_counted", "_is_closed", "_limit", "_mail", "_owner", "_senders", "timeout")

    def __init__(self, owner: str, limit: int = MAILBOX_LIMIT) -> None:
        self._owner = owner
        self._limit = limit
        self._mail = _NO_MAIL
        self._counted = 0
        self._senders: dict[asyncio.Future[bool], Mail] | None = None
        self._is_closed = False
        self.timeout: asyncio.TimerHandle | None = None
        """What waits for mail, and is taken back by the next one."""

    def __len__(self) -> int:
        return len(self._mail)

    @property
    def is_full(self) -> bool:
        """Whether a call or a cast would have to wait."""
        return self._counted >= self._limit

    def statistics(self) -> MailboxStatistics:
        """Return how full it is now."""
        return MailboxStatistics(len(self._mail), self._counted, self._limit, len(self._senders or ()))

    def put_nowait(self, mail: Mail) -> None:
        """Take mail in. Raises `MailboxFull` (never for info), and `NoProcess` once closed."""
        if self._is_closed:
            raise NoProcess(self._owner)
        if mail.method is not None:
            if self._counted >= self._limit:
                raise MailboxFull(self._owner, self._limit)
            self._counted += 1
        self._fill().append(mail)

    async def put(self, mail: Mail, loop: asyncio.AbstractEventLoop) -> None:
        """Take mail in, waiting while the mailbox is full. Raises `NoProcess` once closed.

        On cancellation either nothing has changed or, if there was room already, the mail was taken in.
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

    def take(self) -> Mail:
        """Remove and return the oldest mail; let a waiting sender's in. Raises IndexError when there is none."""
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

    def close(self) -> list[Mail]:
        """Remove and return all mail; take in no more: those who wait for room and those who come hear `NoProcess`."""
        self._is_closed = True
        self.forget_timeout()
        mail, self._mail = list(self._mail), _NO_MAIL
        self._counted = 0
        for room in self._senders or ():
            if not room.done():
                room.set_result(False)
        return mail

    def forget_timeout(self) -> None:
        """Wait for mail no longer."""
        if self.timeout is not None:
            self.timeout.cancel()
            self.timeout = None

    def put_first(self, mail: Continuation) -> None:
        """Take in what comes before all mail, behind what was to come so before."""
        before = sum(1 for _ in takewhile(lambda other: isinstance(other, Continuation), self._mail))
        self._fill().insert(before, mail)

    def drop_own(self) -> None:
        """Remove the mail that concerned one life of its process, and wait for none."""
        self.forget_timeout()
        self.drop(lambda _: True)

    def drop(self, is_dropped: Callable[[OwnMail], bool]) -> None:
        """Remove those that are to be dropped, of the mail that concerns one life of its process."""
        if any(isinstance(mail, OwnMail) for mail in self._mail):
            kept = [mail for mail in self._mail if not (isinstance(mail, OwnMail) and is_dropped(mail))]
            self._mail = deque(kept) if kept else _NO_MAIL

    def _fill(self) -> deque[Mail]:
        if self._mail is _NO_MAIL:
            self._mail = deque()
        return self._mail

    def _let_in(self, senders: dict[asyncio.Future[bool], Mail]) -> None:
        while senders and not self.is_full:
            room = next(iter(senders))
            mail = senders.pop(room)
            if not room.done():
                self.put_nowait(mail)
                room.set_result(True)
