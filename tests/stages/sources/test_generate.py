"""Events are generated as many as are asked for, and no faster than said."""

import asyncio

import pytest
from pydantic import ValidationError

from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.generate import Generate, GenerateOptions
from tests.fakes.stepping import until
from tests.stages.runs import chain, run

pytestmark = pytest.mark.asyncio


def generate(**options: object) -> Generate:
    return Generate(GenerateOptions.model_validate(options))


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 12_345])
@pytest.mark.parametrize("options", [{}, {"rate": "1000000/s"}])
async def test_whole_numbers_come_from_0_on(count: int, options: dict[str, object]) -> None:
    ran = await run(generate(count=count, **options))
    assert ran.events == list(range(count))
    assert ran.outcome.is_fine


async def test_a_template_reads_the_number_of_its_event() -> None:
    ran = await run(generate(count=3, template={"id": "event.n", "name": "'x'", "even": "event.n % 2 == 0"}))
    assert ran.events == [{"id": n, "name": "x", "even": n % 2 == 0} for n in range(3)]


@pytest.mark.parametrize("max_demand", [1, 2, 1000])
async def test_an_event_whose_template_fails_is_discarded_alone(max_demand: int) -> None:
    ran = await run(generate(count=10, template={"half": "12 / (event.n % 3)"}), max_demand=max_demand)
    assert ran.events == [{"half": 12 / (n % 3)} for n in range(10) if n % 3]
    assert ran.outcome.events_failed == 4
    assert ran.stages[0].discarded["error"] == 4


async def test_no_more_come_than_the_rate_allows() -> None:
    clock = asyncio.get_running_loop().time
    start = clock()
    ran = await run(generate(count=31, rate="1000/s"))
    assert clock() - start >= 0.030
    assert ran.events == list(range(31))


async def test_without_a_count_it_goes_on_until_the_drain() -> None:
    topology, collect = chain(generate(rate="100000/s"))
    await topology.start()
    await until(lambda: len(collect.events) > 5000)
    outcome = await topology.drain()
    assert outcome.is_fine
    assert collect.events == list(range(len(collect.events)))


async def test_only_what_is_asked_for_is_made() -> None:
    source = generate(rate="1000/s")
    topology = Topology()
    stage = topology.add("0", lambda: source)
    async with topology:
        stream = stage.stream(max_demand=2)
        assert [await anext(stream), await anext(stream)] == [0, 1]
        assert source._next <= 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": -1}, "greater than or equal to 0"),
        ({"count": True}, "not true or false"),
        ({"rate": 5}, "has no unit"),
        ({"template": {"a": "event."}}, "event."),
        ({"total": 5}, "Extra inputs"),
    ],
)
async def test_options_that_make_no_sense_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        GenerateOptions.model_validate(options)
