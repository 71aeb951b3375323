"""What nobody can mean, said to a pipeline, to a handle or to a subscription: one sentence, and nothing has changed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from headrace.errors import BadOption, DemandError, GraphError
from headrace.otp.gen_server import GenServer
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Numbers, Pass, Silent


def odd(value: object) -> Any:
    """Return a value of which no type checker is to say that it is wrong."""
    return value


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Topology(cancel=odd("never")),
            "cancel is 'never', and must be 'permanent', 'transient' or 'temporary'",
        ),
        (lambda: Topology(max_restarts=-1), "max_restarts is -1, and must be a whole number, 0 or more"),
        (lambda: Topology(max_seconds=odd("5")), "max_seconds is '5', and must be a number of seconds, 0 or more"),
    ],
)
def test_a_pipeline_whose_options_cannot_be_is_not_made(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(BadOption) as caught:
        make()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("name", "factory", "options", "sentence"),
    [
        (5, Numbers, {}, "stage 5 needs a name that is text: give it one"),
        ([], Numbers, {}, "stage [] needs a name that is text: give it one"),
        ("", Numbers, {}, "stage '' needs a name that is text: give it one"),
        ("a", 5, {}, "stage 'a' has 5 for a factory: give a class, or a function that makes the stage"),
        ("a", Numbers, {"settings": {}}, "stage 'a' has {} for settings: give a StageSettings"),
        ("a", GenServer, {}, "stage 'a' is a GenServer: its factory must make a Producer"),
        ("a", Collect, {"subscribe_to": 5}, "stage 'a' subscribes to 5, which names no stage"),
    ],
)
def test_a_stage_that_cannot_be_is_not_added(name: Any, factory: Any, options: dict[str, Any], sentence: str) -> None:
    topology = Topology()
    with pytest.raises(GraphError) as caught:
        topology.add(name, factory, **options)
    assert str(caught.value).startswith(sentence)
    topology.add("numbers", Numbers)
    with pytest.raises(GraphError, match="does not exist; there are: numbers"):
        topology.stage(odd(5))


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"producer": None}, "stage 'collect' subscribes to None, which is no name of a stage: give its name"),
        (
            {"cancel": []},
            "stage 'collect' subscribes with cancel=[]: it is one of 'permanent', 'transient', 'temporary'",
        ),
        ({"max_demand": True}, "stage 'collect' subscribes with max_demand=True: it is a whole number"),
        ({"selector": 5}, "stage 'collect' subscribes with selector=5: it is a function that returns whether"),
        ({"partition": []}, "stage 'collect' subscribes with partition=[]: it is a number or another name"),
        ({"options": 5}, "stage 'collect' subscribes with options=5: they are a mapping, such as a dict"),
    ],
)
@pytest.mark.asyncio
async def test_a_subscription_that_cannot_be_is_refused_whoever_asks_for_it(
    said: dict[str, Any], sentence: str
) -> None:
    to = SubscribeTo(**{"producer": "numbers"} | said)
    with pytest.raises(GraphError) as caught:
        Topology().add("collect", Collect, subscribe_to=to)
    assert str(caught.value).startswith(sentence)
    topology, collect = Topology(), Collect()
    topology.add("numbers", Numbers)
    handle = topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    for subscribe in (handle.subscribe, collect.subscribe):
        with pytest.raises(GraphError) as caught:
            subscribe(to)
        assert str(caught.value).startswith(sentence)
    assert handle.subscriptions() == []
    assert (await topology.drain()).is_fine


@pytest.mark.parametrize("one", ["tea", b"tea", {"sku": "tea"}, 5, None])
@pytest.mark.asyncio
async def test_one_event_that_is_handed_in_without_its_list_is_not_taken_for_many(one: Any) -> None:
    topology, silent, middle = Topology(), Silent(), Pass()
    handle = topology.add("silent", lambda: silent)
    topology.add("pass", lambda: middle, subscribe_to=handle)
    topology.add("collect", Collect, subscribe_to="pass")
    await topology.start()
    sentence = "events is .*, and must be a list of events, or another iterable of them: put a single one in a list"
    for emit in (
        handle.emit_nowait,
        silent.emit_nowait,
        middle.emit_nowait,
        partial(topology.emit_threadsafe, "silent"),
    ):
        with pytest.raises(BadOption, match=sentence):
            emit(one)
    with pytest.raises(BadOption, match=sentence):
        await handle.emit(one)
    outcome = await topology.drain()
    assert (outcome.is_fine, middle.batches) == (True, [])


@pytest.mark.asyncio
async def test_words_that_cannot_be_change_nothing_in_a_run() -> None:
    topology, numbers = Topology(), Silent()
    handle = topology.add("numbers", lambda: numbers)
    collect = topology.add("collect", Collect, subscribe_to="numbers")
    await topology.start()
    (subscription,) = collect.subscriptions()
    for word, error, sentence in (
        (lambda: handle.resize(odd("9")), DemandError, "buffer_size is '9', and must be a whole number, 0 or more"),
        (lambda: handle.resize(odd(True)), DemandError, "buffer_size is True"),
        (lambda: handle.resize(9, odd("both")), DemandError, 'keep is \'both\', and must be "first", "last" or "all"'),
        (lambda: handle.stream(timeout_seconds=odd("9")), BadOption, "timeout_seconds is '9'"),
        (lambda: subscription.change(odd("9")), DemandError, "max_demand is '9', and must be a whole number"),
        (lambda: subscription.cancel(odd(None)), BadOption, "reason is None"),
    ):
        with pytest.raises(error, match=sentence):
            word()
    with pytest.raises(BadOption, match="deadline_seconds is 'x', and must be a number of seconds"):
        await topology.drain(odd("x"))
    assert subscription.is_alive
    assert topology.state == "running"
    assert (await topology.drain()).is_fine


@pytest.mark.asyncio
async def test_a_stage_names_whom_it_subscribes_to_as_shortly_as_a_handle_does() -> None:
    topology, collect = Topology(), Collect()
    topology.add("silent", Silent)
    topology.add("pass", Pass, subscribe_to="silent")
    topology.add("collect", lambda: collect, subscribe_to=None)
    await topology.start()
    subscription = collect.subscribe("silent")
    assert (subscription.producer, subscription.consumer) == ("silent", "collect")
    assert subscription.resubscribe("pass").producer == "pass"
    with pytest.raises(GraphError, match="names no stage"):
        collect.subscribe(odd(5))
    assert (await topology.drain()).is_fine
