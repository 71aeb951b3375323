"""A run from start to end: how it stands, how it ended, what it says from outside."""

import asyncio
from functools import partial

import pytest

from headrace.errors import ForeignThread, GraphError, NoProcess, RestartsExhausted, StartFailed
from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Failing, Gated, Numbers, Pass, Silent
from tests.fakes.laws import check_end
from tests.fakes.stepping import run_of, settled


@pytest.mark.asyncio
async def test_a_run_goes_from_new_over_running_to_completed() -> None:
    topology = Topology()
    topology.add("silent", Silent)
    silent = topology._specs["silent"].first
    topology.add("collect", Collect, subscribe_to="silent")
    assert topology.state == "new"
    await topology.start()
    assert topology.state == "running"
    assert isinstance(silent, Silent)
    silent.complete()
    outcome = await topology.join()
    assert topology.state == "completed"
    assert outcome == RunOutcome(is_completed=True, reason=None, events_failed=0, events_lost=0, is_drained=False)


@pytest.mark.asyncio
async def test_nothing_answers_before_the_start() -> None:
    topology = Topology("shop")
    topology.add("numbers", Numbers)
    for ask in (topology.join, topology.drain, topology.stop):
        with pytest.raises(NoProcess, match="shop"):
            await ask()
    with pytest.raises(NoProcess):
        topology.snapshot()
    with pytest.raises(NoProcess):
        topology.emit_threadsafe("numbers", [1])
    with pytest.raises(GraphError, match="stage 'nobody' does not exist; there are: numbers"):
        topology.stage("nobody")
    with pytest.raises(NoProcess, match="shop"):
        topology.stage("numbers").pause()
    assert topology.stage("numbers").name == "numbers"


@pytest.mark.asyncio
async def test_a_pipeline_is_started_once_and_takes_no_stage_then() -> None:
    topology = Topology()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("collect", Collect, subscribe_to="numbers")
    await topology.run()
    with pytest.raises(GraphError, match="was started before: make a new pipeline for a new run"):
        await topology.start()
    with pytest.raises(GraphError, match="is added to a pipeline that was started: add every stage before"):
        topology.add("late", Numbers)


@pytest.mark.asyncio
async def test_a_graph_that_was_refused_can_be_mended_and_started() -> None:
    topology, collect = Topology(), Collect()
    topology.add("collect", lambda: collect, subscribe_to="numbers")
    with pytest.raises(GraphError):
        await topology.start()
    topology.add("numbers", lambda: Numbers(3))
    assert (await topology.run()).is_fine
    assert collect.events == [1, 2, 3]


@pytest.mark.asyncio
async def test_consumers_start_first_so_that_whoever_emits_is_heard() -> None:
    begun: list[str] = []

    class Begins(Numbers):
        async def init(self) -> None:
            await asyncio.sleep(0)
            begun.append(self.name)

    class BeginsToo(Collect):
        async def init(self) -> None:
            await asyncio.sleep(0)
            begun.append(self.name)

    topology = Topology()
    topology.add("numbers", lambda: Begins(3))
    topology.add("collect", BeginsToo, subscribe_to="numbers")
    await topology.run()
    assert begun == ["collect", "numbers"]


@pytest.mark.asyncio
async def test_a_start_that_is_given_up_leaves_nothing_running() -> None:
    class Waits(Numbers):
        async def init(self) -> None:
            await asyncio.Event().wait()

    topology = Topology()
    topology.add("numbers", Waits, settings=StageSettings(shutdown_seconds=0.01))
    topology.add("collect", Collect, subscribe_to="numbers")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await topology.start()
    assert all(process.state is ProcessStatus.ENDED for process in run_of(topology).processes.values())


@pytest.mark.asyncio
async def test_a_start_during_which_the_run_fails_says_why() -> None:
    class Slow(Numbers):
        async def init(self) -> None:
            await asyncio.Event().wait()

    topology = Topology("shop", max_restarts=1)
    topology.add("slow", Slow, settings=StageSettings(shutdown_seconds=0.01))
    topology.add("numbers", Numbers)
    topology.add("broken", lambda: Failing(KeyError("always")), subscribe_to=["numbers", "slow"])
    with pytest.raises(StartFailed) as caught:
        await topology.start()
    assert str(caught.value).startswith("'shop' could not start: 'broken' failed again after 1 restart")
    assert isinstance(topology.outcome().reason, RestartsExhausted)
    assert not (await topology.join()).is_fine


@pytest.mark.asyncio
async def test_a_stop_during_the_start_ends_both() -> None:
    class Slow(Numbers):
        async def init(self) -> None:
            entered.set()
            await asyncio.Event().wait()

    entered = asyncio.Event()
    topology = Topology()
    topology.add("slow", Slow, settings=StageSettings(shutdown_seconds=0.01))
    topology.add("collect", Collect, subscribe_to="slow")
    starting = asyncio.ensure_future(topology.start())
    await entered.wait()
    await topology.stop()
    with pytest.raises(StartFailed):
        await starting


@pytest.mark.asyncio
async def test_whoever_waits_for_the_end_is_told_it_and_may_ask_again() -> None:
    topology = Topology()
    topology.add("numbers", lambda: Numbers(3000))
    topology.add("collect", Collect, subscribe_to="numbers")
    await topology.start()
    outcomes = await asyncio.gather(topology.join(), topology.join())
    assert outcomes[0] == outcomes[1] == await topology.join() == topology.outcome()


@pytest.mark.asyncio
async def test_a_wait_for_the_end_that_is_given_up_leaves_the_run_alone() -> None:
    topology, silent = Topology(), Silent()
    topology.add("silent", lambda: silent)
    topology.add("collect", Collect, subscribe_to="silent")
    await topology.start()
    joining = asyncio.ensure_future(topology.join())
    await settled(topology)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    assert topology.state == "running"
    silent.complete()
    assert (await topology.join()).is_completed


def _itself(collect: Collect) -> Collect:
    return collect


@pytest.mark.asyncio
async def test_several_runs_share_a_loop_and_none_minds_another() -> None:
    failing, collects = Topology("failing"), [Collect() for _ in range(3)]
    failing.add("numbers", Numbers)
    failing.add("broken", lambda: Failing(KeyError("always")), subscribe_to="numbers")
    fine = [Topology(str(number)) for number in range(3)]
    for topology, collect in zip(fine, collects, strict=True):
        topology.add("numbers", lambda: Numbers(5000))
        topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", 10))
        topology.add("collect", partial(_itself, collect), subscribe_to="pass")
    outcomes = await asyncio.gather(*(topology.run() for topology in (failing, *fine)))
    assert isinstance(outcomes[0].reason, RestartsExhausted)
    assert all(outcome.is_fine for outcome in outcomes[1:])
    assert all(collect.events == list(range(1, 5001)) for collect in collects)


@pytest.mark.asyncio
async def test_one_runs_stage_can_feed_another_run() -> None:
    first, second, collect = Topology("first"), Topology("second"), Collect()
    handle = first.add("numbers", lambda: Numbers(500))
    await first.start()
    second.add("read", Producer.from_stream(handle.stream(10)))
    second.add("collect", lambda: collect, subscribe_to=SubscribeTo("read", 7))
    assert (await second.run()).is_fine
    assert (await first.join()).is_fine
    assert collect.events == list(range(1, 501))


@pytest.mark.asyncio
@pytest.mark.parametrize("measure", [True, False])
async def test_a_snapshot_says_what_flowed(measure: bool) -> None:  # noqa: FBT001
    topology, collect = Topology("shop", measure=measure), Collect()
    topology.add("numbers", lambda: Numbers(1000))
    topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", 10))
    topology.add("collect", lambda: collect, subscribe_to=SubscribeTo("pass", 7))
    assert (await topology.run()).is_fine
    snapshot = topology.snapshot()
    assert (snapshot.name, snapshot.state) == ("shop", "completed")
    figures = {one.name: (one.kind, one.state, one.events_received, one.events_sent) for one in snapshot.stages}
    assert figures == {
        "numbers": ("producer", "completed", 0, 1000),
        "pass": ("producer_consumer", "completed", 1000, 1000),
        "collect": ("consumer", "completed", 1000, 0),
    }
    assert {(edge.producer, edge.consumer, edge.events) for edge in snapshot.edges} == {
        ("numbers", "pass", 1000),
        ("pass", "collect", 1000),
    }
    assert all(edge.demand_requested >= edge.events for edge in snapshot.edges)
    assert all(one.in_flight_events == one.buffer_events == 0 for one in snapshot.stages)
    assert all(set(one.discarded.values()) == {0} for one in snapshot.stages)


@pytest.mark.asyncio
async def test_a_snapshot_of_a_standing_run_says_where_its_events_are() -> None:
    topology, numbers, gated = Topology(), Numbers(), Gated()
    topology.add("numbers", lambda: numbers)
    topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", 10, 5))
    topology.add("gated", lambda: gated, subscribe_to=SubscribeTo("pass", 4, 2))
    await topology.start()
    await settled(topology)
    stages = {one.name: one for one in topology.snapshot().stages}
    assert stages["numbers"].events_sent == numbers.emitted
    assert stages["pass"].events_received + stages["pass"].in_flight_events == numbers.emitted
    assert stages["pass"].events_sent + stages["pass"].buffer_events == stages["pass"].events_received
    assert (stages["gated"].in_flight_events, stages["gated"].events_received) == (4, 0)
    edges = {edge.producer: edge for edge in topology.snapshot().edges}
    assert (edges["pass"].demand_requested, edges["pass"].events, edges["pass"].demand_pending) == (4, 4, 0)
    await topology.stop()


@pytest.mark.asyncio
async def test_what_was_received_is_what_was_handled_and_discarded() -> None:
    failing, topology = Failing(KeyError("1"), KeyError("2")), Topology()
    topology.add("numbers", lambda: Numbers(100))
    topology.add("failing", lambda: failing, subscribe_to=SubscribeTo("numbers", 10))
    await topology.run()
    stage = topology.snapshot().stages[1]
    assert stage.events_received == len(failing.events) + stage.discarded["crash"] == 100
    check_end(run_of(topology))


@pytest.mark.asyncio
async def test_a_snapshot_is_for_the_loops_own_thread() -> None:
    topology = Topology()
    topology.add("numbers", lambda: Numbers(3))
    topology.add("collect", Collect, subscribe_to="numbers")
    async with topology:
        with pytest.raises(ForeignThread):
            await asyncio.to_thread(topology.snapshot)
