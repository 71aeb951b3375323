"""Who leads."""

import pytest

from headrace.jobs.maintenance.maintenance import LEASE_SECONDS, RENEW_SECONDS, Leader
from tests.fakes.upkeep import LentLease, StoreDown, TurnedTime


@pytest.mark.asyncio
async def test_one_of_two_leads_and_the_other_when_it_resigns() -> None:
    time = TurnedTime()
    lease = LentLease(time)
    one, other = Leader(lease, "one", clock=time), Leader(lease, "other", clock=time)
    assert (await one.acquire(), await other.acquire()) == (True, False)
    assert (one.is_leading, other.is_leading) == (True, False)
    await one.resign()
    assert not one.is_leading
    assert await other.acquire()


@pytest.mark.asyncio
async def test_a_lease_that_nobody_renews_runs_out_by_itself() -> None:
    time = TurnedTime()
    lease = LentLease(time)
    leader = Leader(lease, "one", clock=time)
    await leader.acquire()
    await time.go_on(LEASE_SECONDS)
    assert not leader.is_leading
    assert await Leader(lease, "other", clock=time).acquire()


@pytest.mark.asyncio
async def test_a_renewed_lease_is_kept_and_one_that_was_taken_is_lost() -> None:
    time = TurnedTime()
    lease = LentLease(time)
    leader = Leader(lease, "one", clock=time)
    for _ in range(10):
        assert await leader.acquire()
        await time.go_on(RENEW_SECONDS)
        assert leader.is_leading
    lease.take_away()
    assert not await leader.acquire()
    assert not leader.is_leading


@pytest.mark.asyncio
async def test_a_store_that_fails_takes_no_lease_before_its_time() -> None:
    time = TurnedTime()
    lease = LentLease(time)
    leader = Leader(lease, "one", clock=time)
    await leader.acquire()
    lease.is_down = True
    with pytest.raises(StoreDown):
        await leader.acquire()
    assert leader.is_leading


@pytest.mark.asyncio
async def test_who_does_not_lead_has_nothing_to_give_back() -> None:
    time = TurnedTime()
    lease = LentLease(time)
    await Leader(lease, "one", clock=time).resign()
    assert lease.resigned == []


class BusyLease(LentLease):
    """Answers the first question only after the lease has run out, as a store does that writes for long."""

    def __init__(self, time: TurnedTime) -> None:
        super().__init__(time)
        self.asked = 0
        self.turned = time

    async def lead(self, name: str, node: str, seconds: float) -> bool:
        self.asked += 1
        if self.asked == 1:
            self.turned.seconds += LEASE_SECONDS + 1
        return await super().lead(name, node, seconds)


@pytest.mark.asyncio
async def test_a_long_write_takes_the_lease_from_no_single_process() -> None:
    time = TurnedTime()
    leader = Leader(BusyLease(time), "one", clock=time)
    assert await leader.acquire()
    assert leader.is_leading
