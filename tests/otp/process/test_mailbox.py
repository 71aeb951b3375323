"""The mailbox: order, a bound for calls and casts, and senders who wait for room."""

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import MailboxFull, NoProcess
from headrace.otp.process.mailbox import Envelope, Mailbox, MailboxStatistics
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.processes import hops


def _cast(number: int = 0) -> Envelope:
    return Envelope(int, (number,))


def _info(number: int = 0) -> Envelope:
    return Envelope(None, (number,))


def _numbers(mail: list[Envelope]) -> list[object]:
    return [one.args[0] for one in mail]


def _take_all(mailbox: Mailbox) -> list[object]:
    taken = []
    while mailbox:
        taken.append(mailbox.take())
    return _numbers(taken)


def test_mail_is_taken_in_the_order_in_which_it_came() -> None:
    mailbox = Mailbox("owner")
    for number, make in enumerate((_cast, _info, _cast)):
        mailbox.put_nowait(make(number))
    assert _take_all(mailbox) == [0, 1, 2]


def test_calls_and_casts_count_against_the_bound_and_info_does_not() -> None:
    mailbox = Mailbox("owner", 2)
    for mail in (_cast(), _cast(), _info()):
        mailbox.put_nowait(mail)
    with pytest.raises(MailboxFull, match=r"'owner' is full \(2 calls and casts wait\): use `await cast`"):
        mailbox.put_nowait(_cast())
    assert mailbox.statistics() == MailboxStatistics(waiting=3, counted=2, limit=2, senders=0)


def test_taking_info_makes_no_room() -> None:
    mailbox = Mailbox("owner", 1)
    mailbox.put_nowait(_info())
    mailbox.put_nowait(_cast())
    mailbox.take()
    assert mailbox.is_full


def test_a_closed_mailbox_gives_back_what_waits_and_takes_in_nothing() -> None:
    mailbox = Mailbox("owner", 1)
    mailbox.put_nowait(_cast(7))
    assert _numbers(mailbox.close()) == [7]
    for mail in (_cast(), _info()):
        with pytest.raises(NoProcess, match="'owner'"):
            mailbox.put_nowait(mail)
    assert len(mailbox) == 0


@pytest.mark.asyncio
async def test_a_sender_waits_for_room_and_nobody_gets_in_before_it() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox("owner", 1)
    mailbox.put_nowait(_cast(0))
    async with asyncio.TaskGroup() as group:
        for number in (1, 2):
            group.create_task(mailbox.put(_cast(number), loop))
        await hops(1)
        assert mailbox.statistics().senders == 2
        assert mailbox.take().args == (0,)
        with pytest.raises(MailboxFull):
            mailbox.put_nowait(_cast(3))
        group.create_task(mailbox.put(_cast(4), loop))
        await hops(1)
        assert [mailbox.take().args[0] for _ in range(3)] == [1, 2, 4]


@pytest.mark.asyncio
async def test_senders_who_wait_hear_that_the_mailbox_was_closed() -> None:
    mailbox = Mailbox("owner", 1)
    mailbox.put_nowait(_cast())
    waiting = [asyncio.create_task(mailbox.put(_cast(), asyncio.get_running_loop())) for _ in range(2)]
    await hops(1)
    mailbox.close()
    assert [type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [NoProcess, NoProcess]
    assert mailbox.statistics() == MailboxStatistics(waiting=0, counted=0, limit=1, senders=0)


@pytest.mark.asyncio
async def test_a_sender_who_has_just_given_up_does_not_keep_the_mailbox_from_closing() -> None:
    mailbox = Mailbox("owner", 1)
    mailbox.put_nowait(_cast())
    waiting = asyncio.create_task(mailbox.put(_cast(), asyncio.get_running_loop()))
    await hops(1)
    waiting.cancel()
    mailbox.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOWS)
async def test_a_sender_cancelled_wherever_it_waits_leaves_the_mailbox_as_it_should_be(how: How) -> None:
    loop = asyncio.get_running_loop()

    async def attempt(step: int) -> bool:
        mailbox = Mailbox("owner", 1)
        mailbox.put_nowait(_cast(0))
        async with asyncio.TaskGroup() as group:
            cancelled = group.create_task(cancelled_at(mailbox.put(_cast(1), loop), step, how))
            await hops(1)
            group.create_task(mailbox.put(_cast(2), loop))
            await hops(3)
            taken = _take_all(mailbox)
        is_in = how == "woken" or not cancelled.result()
        assert taken == ([0, 1, 2] if is_in else [0, 2])
        assert mailbox.statistics() == MailboxStatistics(waiting=0, counted=0, limit=1, senders=0)
        return cancelled.result()

    assert await at_every_step(attempt) == 1


class Model:
    """What a mailbox of `limit` should hold, and who should wait for it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.mail: deque[tuple[int, bool]] = deque()
        self.senders: deque[int] = deque()

    @property
    def counted(self) -> int:
        return sum(is_counted for _, is_counted in self.mail)

    def put(self, number: int) -> None:
        if self.counted < self.limit:
            self.mail.append((number, True))
        else:
            self.senders.append(number)

    def take(self) -> int:
        number, is_counted = self.mail.popleft()
        if is_counted and self.senders:
            self.mail.append((self.senders.popleft(), True))
        return number


class Played:
    """A mailbox and its model, to which the same is done."""

    def __init__(self, limit: int) -> None:
        self.mailbox = Mailbox("owner", limit)
        self.model = Model(limit)
        self.waiting: dict[int, asyncio.Task[None]] = {}
        self.count = 0

    async def put(self) -> None:
        self.count += 1
        mail = _cast(self.count)
        self.waiting[self.count] = asyncio.create_task(self.mailbox.put(mail, asyncio.get_running_loop()))
        self.model.put(self.count)
        await hops(1)

    async def info(self) -> None:
        self.count += 1
        self.mailbox.put_nowait(_info(self.count))
        self.model.mail.append((self.count, False))

    async def take(self) -> None:
        if self.model.mail:
            assert self.mailbox.take().args == (self.model.take(),)

    async def give_up(self) -> None:
        if self.model.senders:
            self.waiting[self.model.senders.pop()].cancel()

    async def rest(self) -> None:
        await hops(3)
        assert self.mailbox.statistics().senders == len(self.model.senders)

    def check(self) -> None:
        model, statistics = self.model, self.mailbox.statistics()
        assert (statistics.waiting, statistics.counted) == (len(model.mail), model.counted)
        assert statistics.counted <= statistics.limit
        assert statistics.counted == statistics.limit or not model.senders

    async def end(self) -> None:
        while self.model.mail:
            await self.take()
        await hops(3)
        assert self.mailbox.statistics() == MailboxStatistics(0, 0, self.model.limit, 0)
        assert all(task.done() for task in self.waiting.values())


@given(limit=st.integers(1, 3), moves=st.lists(st.sampled_from(["put", "info", "take", "give_up", "rest"])))
def test_whatever_senders_and_the_owner_do_order_and_bound_are_kept(limit: int, moves: list[str]) -> None:
    async def play() -> None:
        played = Played(limit)
        for move in moves:
            await getattr(played, move)()
            played.check()
        await played.end()

    asyncio.run(play())
