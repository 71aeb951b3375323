"""What fits a model or a schema goes on; what does not says where."""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from headrace.config.pipeline import Pipeline
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from headrace.stages.errors import BadEvent
from headrace.stages.transforms.validate import Validate, ValidateOptions
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept
from tests.stages.runs import run, run_events

SCHEMA = {
    "type": "object",
    "properties": {"sku": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
    "required": ["sku"],
}


class Order(BaseModel):
    sku: str
    count: int = 1


@dataclass
class Plain:
    sku: str
    count: int = 1


def validate(**options: object) -> Validate:
    return Validate(ValidateOptions.model_validate(options))


@pytest.mark.asyncio
@pytest.mark.parametrize("model", [Order, Plain])
async def test_a_model_makes_plain_values_of_what_fits(model: type) -> None:
    ran = await run_events([{"sku": "a", "count": "3"}, {"count": 2}, {"sku": "b"}, 7], validate(model=model))
    made = [{"sku": "a", "count": 3}, {"sku": "b", "count": 1}]
    assert ran.events == (made if model is Order else [made[0], made[1]])
    assert ran.outcome.events_failed == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("is_in_a_file", [False, True])
async def test_a_schema_lets_through_what_fits_as_it_is(tmp_path: Path, *, is_in_a_file: bool) -> None:
    file = tmp_path / "order.json"
    file.write_text(json.dumps(SCHEMA))
    events = [{"sku": "a", "more": 1}, {"sku": 3}, {"sku": "b", "count": 0}, {"sku": "c", "count": 1}]
    ran = await run_events(events, validate(schema=str(file) if is_in_a_file else SCHEMA))
    assert ran.events == [events[0], events[3]]
    assert ran.outcome.events_failed == 2


@pytest.mark.asyncio
async def test_the_log_says_where_an_event_does_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    await run_events([{"sku": 3}], validate(schema=SCHEMA))
    assert "the event does not fit the schema: it.sku must be string" in caplog.text
    await run_events([{"count": "many"}], validate(model=Order))
    assert "the event does not fit Order: `sku` is missing, and 1 more" in caplog.text


@pytest.mark.asyncio
async def test_what_is_dropped_is_counted_and_no_failure() -> None:
    ran = await run_events([{"sku": 3}, {"sku": "a"}], validate(schema=SCHEMA, invalid="drop"))
    assert ran.outcome.is_fine
    assert ran.stages[1].discarded["invalid"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("options", [{"schema": SCHEMA}, {"model": Order}])
async def test_what_is_routed_goes_by_two_outputs_and_none_fails(options: dict[str, object]) -> None:
    topology, fit, unfit = Topology(), Kept(), Kept()
    events = [{"sku": "a", "count": 1}, {"count": 2}, {"sku": "b", "count": 3}]
    topology.add("source", Producer.from_stream(events))
    topology.add("validate", lambda: validate(**options, invalid="route"), subscribe_to="source")
    topology.add("fit", lambda: fit, subscribe_to=SubscribeTo("validate", output="valid"))
    topology.add("unfit", lambda: unfit, subscribe_to=SubscribeTo("validate", output="invalid"))
    await topology.start()
    assert (await topology.join()).is_fine
    assert (fit.data, unfit.data) == ([events[0], events[2]], [events[1]])


@pytest.mark.asyncio
async def test_a_config_subscribes_to_what_does_not_fit(tmp_path: Path) -> None:
    text = f"""
listen: off
stages:
  numbers: {{type: generate, count: 10, template: {{n: event.n}}}}
  checked: {{type: validate, subscribe_to: numbers, invalid: route, schema: {{properties: {{n: {{maximum: 6}}}}}}}}
  fit: {{type: discard, subscribe_to: {{stage: checked, output: valid}}}}
  unfit: {{type: write_lines, path: {tmp_path}/unfit, subscribe_to: {{stage: checked, output: invalid}}}}
"""
    pipeline = Pipeline.from_text(text)
    await pipeline.start()
    assert (await pipeline.join()).is_fine
    assert [json.loads(line)["n"] for line in (tmp_path / "unfit").read_text().splitlines()] == [7, 8, 9]


@pytest.mark.asyncio
async def test_a_source_hears_which_did_not_fit() -> None:
    source = Told(3)
    await run(source, validate(schema={"type": "integer", "maximum": 2}))
    assert source.outcomes() == [Outcome.DONE, Outcome.DONE, Outcome.FAILED]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "needs `model:` or `schema:`, and not both"),
        ({"model": Order, "schema": SCHEMA}, "needs `model:` or `schema:`, and not both"),
        ({"model": json.loads}, "it must be a class"),
        ({"schema": {"type": "nothing"}}, "this is no JSON Schema that can be used"),
        ({"schema": "missing.json"}, "the file missing.json cannot be read"),
        ({"schema": 7}, "a schema is a mapping, or the name of a JSON file"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ValidateOptions.model_validate(options)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"model": asyncio.Future}, "Future is no class of which pydantic can make a model"),
        ({"schema": {"$ref": "http://127.0.0.1:1/order"}}, "refers to http://127.0.0.1:1/order: write that below"),
        ({"schema": {"$ref": "order.json"}}, "refers to order.json: write that below"),
        ({"schema": {"pattern": "a(?=b)"}}, "has a lookahead, which RE2 lacks: rewrite it, or write `regex: python`"),
        ({"schema": {"patternProperties": {"(a)\\1": {}}}}, "has a back-reference, which RE2 lacks"),
    ],
)
def test_what_cannot_be_checked_here_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ValidateOptions.model_validate(options)


FREEZING = [
    ({"pattern": "^(a+)+$"}, "a" * 50 + "!"),
    ({"patternProperties": {"^(a+)+$": {"type": "string"}}}, {"a" * 50 + "!": 1, "a": "x"}),
    ({"format": "email"}, "a" + "." * 200_000),
    ({"format": "idn-email"}, "a@" + "." * 200_000 + "@"),
]


@pytest.mark.parametrize(("schema", "event"), FREEZING, ids=["pattern", "names", "email", "idn-email"])
def test_no_event_freezes_the_check_of_a_schema(schema: dict[str, object], event: object) -> None:
    check = validate(schema=schema)._check
    begun = time.perf_counter()
    with suppress(BadEvent):
        check(event)
    assert time.perf_counter() - begun < 1


def test_patterns_and_formats_of_a_schema_fit_what_they_fitted() -> None:
    properties = {
        "word": {"pattern": r"^\w+$"},
        "mail": {"format": "email"},
        "at": {"format": "date-time"},
        "host": {"format": "idn-hostname"},
    }
    check = validate(schema={"properties": properties})._check
    good = [{"word": "grün"}, {"mail": "a.b@c.de"}, {"at": "2026-01-02T03:04:05Z"}, {"host": "shop.example"}]
    assert [check(event) for event in good] == good
    for bad in [{"word": "a b"}, {"word": "a\n"}, {"mail": "a..b@c.de"}, {"at": "2026-01-02"}, {"host": "-"}]:
        with pytest.raises(BadEvent):
            check(bad)


def test_a_config_may_have_python_run_the_patterns_of_a_schema() -> None:
    options = ValidateOptions.model_validate({"schema": {"pattern": "a(?=b)"}}, context={"regex": "python"})
    assert Validate(options)._check("ab") == "ab"


class Odd(BaseModel):
    """Has a validator that fails as no validator should."""

    sku: str

    @field_validator("sku")
    @classmethod
    def _known(cls, value: str) -> str:
        return {"a": "A"}[value]


@pytest.mark.asyncio
@pytest.mark.parametrize("invalid", ["fail", "drop"])
async def test_a_validator_that_raises_anything_fails_its_event_alone(invalid: str) -> None:
    ran = await run_events([{"sku": "b"}, {"sku": "a"}], validate(model=Odd, invalid=invalid))
    assert ran.events == [{"sku": "A"}]
    assert (ran.outcome.events_failed, ran.outcome.events_lost) == (1, 0)
    assert ran.stages[1].errors == {"KeyError": 1}


@pytest.mark.asyncio
async def test_an_event_that_nests_too_deep_fails_alone() -> None:
    endless = {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}}
    ran = await run_events([{"sku": "b"}], validate(schema=endless))
    assert (ran.outcome.events_failed, ran.outcome.events_lost) == (1, 0)
