"""What is said about a stage beside its class is checked when it is added, in one sentence each."""

from functools import partial
from typing import cast

import pytest

from headrace.errors import GraphError
from headrace.pipeline.dispatchers.entry_points import BUILT_IN, dispatcher_names
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Numbers


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"buffer_keep": "latest"},
            "has a buffer_keep of 'latest': it must be 'first', 'last' or 'all'; did you mean 'last'?",
        ),
        ({"buffer_keep": 3}, "has a buffer_keep of 3: it must be 'first', 'last' or 'all'"),
        ({"buffer_size": -1}, "has a buffer_size of -1: it must be a whole number, 0 or more, or None for the default"),
        (
            {"buffer_size": "10"},
            "has a buffer_size of '10': it must be a whole number, 0 or more, or None for the default",
        ),
        (
            {"buffer_size": True},
            "has a buffer_size of True: it must be a whole number, 0 or more, or None for the default",
        ),
        (
            {"shutdown_seconds": "5"},
            "has a shutdown_seconds of '5': it must be a number of seconds, 0 or more",
        ),
        (
            {"restart": "never"},
            "has a restart of 'never': it must be 'permanent', 'transient' or 'temporary'",
        ),
        (
            {"demand": "accumulating"},
            "has a demand of 'accumulating': it must be 'forward' or 'accumulate'; did you mean 'accumulate'?",
        ),
        (
            {"dispatcher": "broadcst"},
            "has a dispatcher that cannot be: the dispatcher 'broadcst' is not installed; did you mean 'broadcast'?",
        ),
        (
            {"dispatcher": "xyz"},
            (
                "has a dispatcher that cannot be: the dispatcher 'xyz' is none of "
                "broadcast, demand, partition, round_robin, weighted"
            ),
        ),
        (
            {"dispatcher": "partition"},
            (
                "has a dispatcher that cannot be: the dispatcher partition needs partitions, 1 or more, or their "
                "names: partial(PartitionDispatcher, 4)"
            ),
        ),
        (
            {"dispatcher": 4},
            (
                "has a dispatcher that cannot be: the dispatcher 4 is no dispatcher: "
                "give a name, or what makes one, as a class does"
            ),
        ),
        (
            {"dispatcher": dict},
            (
                "has a dispatcher that cannot be: the dispatcher <class 'dict'> makes a dict: "
                "it must make an object whose class subclasses Dispatcher"
            ),
        ),
    ],
)
def test_what_cannot_be_is_refused_when_the_stage_is_added(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(GraphError) as caught:
        Topology().add("source", Numbers, settings=StageSettings(**settings))  # type: ignore[arg-type] # wrong values
    assert str(caught.value) == f"stage 'source' {sentence}"


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"partition"}))
def test_a_dispatcher_is_named(name: str) -> None:
    dispatcher = StageSettings(dispatcher=name).make_dispatcher()
    assert type(dispatcher) is cast("type", BUILT_IN[name])


def test_a_dispatcher_with_options_is_made_by_a_function() -> None:
    settings = StageSettings(dispatcher=partial(PartitionDispatcher, 4))
    assert isinstance(settings.make_dispatcher(), PartitionDispatcher)
    assert settings.make_dispatcher() is not settings.make_dispatcher()


def test_all_that_is_built_in_is_found() -> None:
    assert set(BUILT_IN) <= set(dispatcher_names())
