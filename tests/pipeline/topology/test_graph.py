"""Graphs that cannot run: each mistake has its sentence, which says where and what to do."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import GraphError, MissingCallback
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.graph import GraphNode, find_circle, graph_errors, in_order
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Collect, Numbers, Pass

SOURCE, SINK = GraphNode("producer"), GraphNode("consumer", ("source",))

WRONG = {
    "stage 'sink' subscribes to 'sourec', which does not exist; did you mean 'source'?": {
        "source": SOURCE,
        "sink": GraphNode("consumer", ("sourec",)),
    },
    "stage 'sink' subscribes to 'x', which does not exist; there are: source, sink": {
        "source": SOURCE,
        "sink": GraphNode("consumer", ("x",)),
    },
    "stage 'other' subscribes to 'sink', which is a consumer and emits nothing; subscribe to what feeds it": {
        "source": SOURCE,
        "sink": SINK,
        "other": GraphNode("consumer", ("sink",)),
    },
    "stage 'late' is a producer and subscribes to 'source': a producer has no input; remove the subscription": {
        "source": SOURCE,
        "late": GraphNode("producer", ("source",)),
    },
    "stage 'middle' is a producer-consumer and subscribes to nothing: say to which stage it subscribes": {
        "middle": GraphNode("producer_consumer"),
    },
    "stage 'sink' is a consumer and subscribes to nothing: say to which stage it subscribes": {
        "sink": GraphNode("consumer"),
    },
    "stage 'sink' subscribes to 'source' twice; once is enough": {
        "source": SOURCE,
        "sink": GraphNode("consumer", ("source", "source")),
    },
    "stage 'a' is part of a circle: a -> c -> b -> a; take one of these edges out": {
        "a": GraphNode("producer_consumer", ("c",)),
        "b": GraphNode("producer_consumer", ("a",)),
        "c": GraphNode("producer_consumer", ("b",)),
    },
    "stage 'a' is part of a circle: a -> a; take one of these edges out": {
        "a": GraphNode("producer_consumer", ("a",)),
    },
}


@pytest.mark.parametrize("sentence", WRONG)
def test_each_mistake_has_its_sentence(sentence: str) -> None:
    assert [str(error) for error in graph_errors(WRONG[sentence])] == [sentence]


def test_all_mistakes_are_found_at_once() -> None:
    nodes = {
        "sink": GraphNode("consumer"),
        "late": GraphNode("producer", ("sink",)),
        "other": GraphNode("consumer", ("nobody",)),
    }
    assert [error.stage for error in graph_errors(nodes)] == ["sink", "late", "other"]


@given(st.integers(1, 12), st.data())
def test_stages_are_put_in_order_whatever_the_order_of_adding(count: int, data: st.DataObject) -> None:
    producers = {
        f"s{one}": [f"s{earlier}" for earlier in range(one) if data.draw(st.booleans())] for one in range(count)
    }
    shuffled = {name: producers[name] for name in data.draw(st.permutations(list(producers)))}
    assert find_circle(shuffled) == []
    ordered = in_order(shuffled)
    assert sorted(ordered) == sorted(producers)
    assert all(ordered.index(one) < ordered.index(name) for name, them in producers.items() for one in them)


@given(st.integers(2, 8), st.data())
def test_a_circle_is_found_and_named_along_its_edges(count: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, count))
    producers = {f"s{one}": [f"s{one - 1}"] if one else [f"s{size - 1}"] for one in range(count)}
    shuffled = {name: producers[name] for name in data.draw(st.permutations(list(producers)))}
    circle = find_circle(shuffled)
    assert circle[0] == circle[-1]
    assert len(circle) == size + 1
    assert all(after in producers[before] for before, after in itertools.pairwise(circle))


def test_a_name_is_given_once() -> None:
    topology = Topology()
    topology.add("source", Numbers)
    with pytest.raises(GraphError, match=r"^stage 'source' is there already: give every stage a name of its own$"):
        topology.add("source", Numbers)


def test_what_is_no_stage_is_refused_when_it_is_added() -> None:
    class Bare(Stage):
        pass

    with pytest.raises(GraphError) as caught:
        Topology().add("bare", Bare)
    assert str(caught.value) == (
        "stage 'bare' is a Bare: its factory must make a Producer, ProducerConsumer or Consumer"
    )


class _NoProducer(Producer[int]):
    pass


class _NoMiddle(ProducerConsumer[int, int]):
    pass


class _NoConsumer(Consumer[int]):
    pass


@pytest.mark.parametrize(
    ("stage", "callback"),
    [
        (_NoProducer, "handle_demand(self, demand)"),
        (_NoMiddle, "handle_events(self, events)"),
        (_NoConsumer, "handle_events(self, events)"),
    ],
)
def test_a_class_that_does_not_say_what_it_does_is_refused_when_it_is_added(stage: type[Stage], callback: str) -> None:
    with pytest.raises(MissingCallback) as caught:
        Topology().add("stage", stage)
    assert (
        str(caught.value)
        == f"{stage.__name__} has no {callback} of its own: write it, since it does the work of the stage"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("to", "why"),
    [
        (SubscribeTo("source", 0), "max_demand is 0, and must be a whole number, 1 or more"),
        (SubscribeTo("source", 5, 5), "min_demand is 5, and must be a whole number from 0 to 4 (below max_demand)"),
        (SubscribeTo("source", 5, -1), "min_demand is -1, and must be a whole number from 0 to 4 (below max_demand)"),
    ],
)
async def test_a_window_that_cannot_be_is_refused_with_its_edge(to: SubscribeTo, why: str) -> None:
    topology = Topology()
    topology.add("source", Numbers)
    topology.add("sink", Collect, subscribe_to=to)
    with pytest.raises(GraphError) as caught:
        await topology.start()
    assert str(caught.value) == f"stage 'sink' cannot subscribe to 'source': {why}"
    assert topology.state == "new"


@pytest.mark.asyncio
async def test_a_buffer_of_less_than_nothing_is_refused() -> None:
    with pytest.raises(GraphError) as caught:
        Topology().add("source", Numbers, settings=StageSettings(buffer_size=-1))
    assert str(caught.value) == (
        "stage 'source' has a buffer_size of -1: it must be a whole number, 0 or more, or None for the default"
    )


@pytest.mark.asyncio
async def test_an_empty_pipeline_does_not_start() -> None:
    with pytest.raises(GraphError, match=r"^pipeline 'empty' has no stages: add some first$"):
        await Topology("empty").start()


@pytest.mark.asyncio
async def test_the_order_of_adding_does_not_matter() -> None:
    topology, collect = Topology(), Collect()
    topology.add("collect", lambda: collect, subscribe_to="pass")
    topology.add("pass", Pass, subscribe_to="numbers")
    topology.add("numbers", lambda: Numbers(10))
    assert (await topology.run()).is_fine
    assert collect.events == list(range(1, 11))


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        (SubscribeTo("pass", cancel="zz"), "subscribes with cancel='zz': it is one of 'permanent', 'transient', 'temp"),  # type: ignore[arg-type]
        (SubscribeTo("pass", max_demand=1.5), "subscribes with max_demand=1.5: it is a whole number"),  # type: ignore[arg-type]
        (SubscribeTo(5), "subscribes to 5, which is no name of a stage"),  # type: ignore[arg-type]
        (5, "subscribes to 5, which names no stage: give a name, a handle or a SubscribeTo"),
        (("pass", 10), "subscribes to 10, which names no stage"),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused_as_it_is_added(to: object, sentence: str) -> None:
    with pytest.raises(GraphError, match=rf"^stage 'collect' {sentence}"):
        Topology().add("collect", Collect, subscribe_to=to)  # type: ignore[arg-type] # wrong on purpose
