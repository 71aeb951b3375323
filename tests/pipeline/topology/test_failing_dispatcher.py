"""A dispatcher that raises loses no event uncounted, and its consumers go on."""

import asyncio
from functools import partial
from typing import Final

import pytest

from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.acknowledged_stages import KeepMessages, Told
from tests.fakes.failing_dispatcher import FailingDispatcher, Slip
from tests.fakes.flow_stages import Collect, Gated, Numbers, Pass, Silent
from tests.fakes.laws import check_demand, check_end
from tests.fakes.stepping import run_of, settled

FAILED: Final = Outcome.FAILED


def failing(slip: Slip, *errors: BaseException, at: object = None) -> StageSettings:
    return _settings(FailingDispatcher(slip, *errors, at=at))


def _settings(dispatcher: FailingDispatcher[Subscription]) -> StageSettings:
    return StageSettings(dispatcher=lambda: dispatcher)


def _same(stage: Collect) -> Collect:
    return stage


def discarded(topology: Topology, stage: str) -> dict[str, int]:
    counts = run_of(topology).processes[stage].counts
    return {reason: count for reason, count in counts.discarded.items() if count}


@pytest.mark.asyncio
@pytest.mark.parametrize("slip", ["dispatch", "late", "host", "unmet", "asked"])
async def test_no_event_is_lost_uncounted_where_a_dispatcher_raises(slip: Slip) -> None:
    topology, numbers, sinks = Topology(), Numbers(100), (Collect(), Collect())
    topology.add(
        "numbers", lambda: numbers, settings=failing(slip, KeyError("slip"), at=50 if slip != "asked" else None)
    )
    for name, sink in zip("ab", sinks, strict=True):
        topology.add(name, partial(_same, sink), subscribe_to=SubscribeTo("numbers", 20))
    outcome = await topology.run()
    received = [number for sink in sinks for number in sink.events]
    assert len(received) + sum(discarded(topology, "numbers").values()) == 100
    assert len(set(received)) == len(received)
    assert discarded(topology, "numbers").keys() <= {"crash", "unrouted", "error"}
    has_lost = slip in ("dispatch", "late", "host")
    assert bool(outcome.events_lost) is has_lost
    assert outcome.is_completed
    assert not outcome.is_fine or not has_lost
    assert topology.snapshot().stages[0].errors.get("KeyError") == 1
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_source_is_told_that_messages_failed_which_a_dispatcher_lost() -> None:
    topology, told, keep = Topology(), Told(40), KeepMessages()
    topology.add("told", lambda: told, settings=failing("dispatch", KeyError("slip"), at=20))
    topology.add("keep", lambda: keep, subscribe_to=SubscribeTo("told", 10, 0))
    outcome = await topology.run()
    lost = discarded(topology, "told")["crash"]
    assert told.outcomes().count(FAILED) == lost > 0
    assert len(keep.data) == 40 - lost
    assert outcome.events_lost == lost


@pytest.mark.asyncio
async def test_a_batch_is_handled_whose_outputs_a_dispatcher_lost() -> None:
    topology, sink = Topology(), Collect()
    topology.add("numbers", lambda: Numbers(100))
    topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", 20), settings=failing("late", KeyError("x"), at=50))
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("pass", 20))
    outcome = await topology.run()
    assert outcome.is_completed
    assert len(sink.events) + discarded(topology, "pass")["crash"] == 100
    assert not discarded(topology, "numbers")
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_what_is_emitted_from_outside_is_counted_where_a_dispatcher_raises() -> None:
    topology, sink = Topology(), Collect()
    inbox = topology.add("inbox", Inbox[int], settings=failing("dispatch", KeyError("slip"), at=2))
    topology.add("sink", lambda: sink, subscribe_to="inbox")
    await topology.start()
    for events in ([1], [2, 3], [4]):
        await inbox.emit(events)
    await settled(topology)
    assert sink.events == [1, 4]
    assert discarded(topology, "inbox") == {"crash": 2}
    assert run_of(topology).processes["inbox"].restarts == 1
    await topology.stop()


@pytest.mark.asyncio
@pytest.mark.parametrize("slip", ["cancelled", "early", "dispatch"])
async def test_what_a_consumer_gives_back_is_not_lost_where_a_dispatcher_raises(slip: Slip) -> None:
    topology, numbers, gated, sink = Topology(cancel="temporary"), Numbers(60), Gated(), Gated()
    dispatcher: FailingDispatcher[Subscription] = FailingDispatcher(slip)
    topology.add("numbers", lambda: numbers, settings=_settings(dispatcher))
    leaver = topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("numbers", 20, 10))
    late = topology.add("sink", lambda: sink, subscribe_to=None)
    await topology.start()
    await gated.entered.wait()
    late.subscribe(SubscribeTo("numbers", 20, 10))
    await settled(topology)
    dispatcher.errors.append(KeyError("slip"))
    (subscription,) = leaver.subscriptions()
    subscription.cancel()
    gated.gate.set()
    sink.gate.set()
    await topology.join()
    lost = discarded(topology, "numbers").get("crash", 0)
    assert lost == {"cancelled": 0, "dispatch": 10}.get(slip, lost)
    assert len(gated.events) + len(sink.events) + lost == 60
    assert run_of(topology).processes["numbers"].restarts == 1
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_change_of_demand_holds_although_the_dispatcher_raises_at_it() -> None:
    topology, silent, gated = Topology(), Silent(), Gated()
    topology.add("silent", lambda: silent, settings=failing("less", KeyError("slip")))
    handle = topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("silent", 20))
    topology.add("other", Gated, subscribe_to=SubscribeTo("silent", 1))
    await topology.start()
    await settled(topology)
    (subscription,) = handle.subscriptions()
    subscription.change(4)
    assert subscription.outstanding == 4
    check_demand(run_of(topology))
    await settled(topology)
    silent.emit_nowait(list(range(10)))
    await settled(topology)
    check_demand(run_of(topology))
    assert run_of(topology).processes["silent"].restarts == 1
    await topology.stop()


@pytest.mark.asyncio
async def test_a_dispatcher_that_raises_while_its_stage_ends_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    topology = Topology(cancel="temporary")
    topology.add("numbers", Numbers, settings=failing("cancelled", KeyError("slip")))
    gated = topology.add("gated", Gated, subscribe_to=SubscribeTo("numbers", 5))
    await topology.start()
    await settled(topology)
    run_of(topology).processes["numbers"].stop()
    (subscription,) = gated.subscriptions()
    subscription.cancel()
    assert "the dispatcher of stage 'numbers' failed" in caplog.text
    await topology.stop()
    assert topology.snapshot().stages[0].errors == {"KeyError": 1}


def _hash(raised: list[BaseException], event: object) -> int:
    if event == 50 and raised:
        raise raised.pop()
    return 0


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [asyncio.CancelledError("hash"), KeyboardInterrupt("hash"), SystemExit("hash")])
async def test_no_event_is_lost_uncounted_where_a_hash_is_cut_off(error: BaseException) -> None:
    topology, numbers, sink = Topology(), Numbers(100), Collect()
    dispatcher = partial(PartitionDispatcher[Subscription], 1, hash=partial(_hash, [error]))
    topology.add("numbers", lambda: numbers, settings=StageSettings(dispatcher=dispatcher))
    topology.add("sink", lambda: sink, subscribe_to=SubscribeTo("numbers", 20, partition=0))
    outcome = await topology.run()
    lost = discarded(topology, "numbers")["crash"]
    assert len(sink.events) + lost == numbers.emitted
    assert lost > 0
    assert outcome.events_lost == lost
    check_end(run_of(topology))
