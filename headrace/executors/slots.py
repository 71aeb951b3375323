"""The slots of an executor: how much of it may run at a time, and who waits, first come first served."""

import asyncio
from collections import deque


class Slots:
    """At most `limit` are taken at a time; one that is free goes to whoever has waited longest."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    async def take(self) -> bool:
        """Return True once a slot is taken, False when `dismiss` ended the wait. On cancellation none is taken."""
        if self.taken < self.limit and not self._waiting:
            self.taken += 1
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give_back()
            if turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give_back(self) -> None:
        """Free a slot that was taken."""
        self.taken -= 1
        self._pass_on()

    def resize(self, limit: int) -> None:
        """Let that many be taken from now on; what is taken above it stays until it is given back."""
        self.limit = limit
        self._pass_on()

    def dismiss(self) -> None:
        """Tell all who wait that they get none."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # one that was cancelled in this iteration of the loop takes itself out
                turn.set_result(False)

    def _pass_on(self) -> None:
        while self._waiting and (self._waiting[0].done() or self.taken < self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(True)
