"""A key that came as text becomes what its worker is called with."""

from typing import Any

import pytest

from headrace.jobs.errors import BadArguments
from headrace.jobs.results import JobRegistry
from headrace.jobs.running_job import RunningJob
from headrace.jobs.worker import worker
from headrace.stages.jobs import Called, called_with


@worker(record=True)
async def read(text: str) -> str:
    return text


@worker(record=True)
async def count(number: int) -> int:
    return number


@worker(record=True)
async def store(document: dict[str, int]) -> int:
    return len(document)


@worker(record=True)
async def build(sku: str, region: str = "eu") -> str:
    return sku + region


@worker(record=True)
async def note(sku: str, **others: int) -> str:
    return f"{sku}{others}"


@worker(record=True)
async def watched(job: RunningJob, text: str) -> str:
    return f"{job.id}{text}"


@pytest.mark.parametrize(
    ("function", "key", "called"),
    [
        (read, "a", (("a",), {})),
        (read, '{"text": "a"}', (('{"text": "a"}',), {})),
        (watched, '{"text": "a"}', (('{"text": "a"}',), {})),
        (count, "7", (("7",), {})),
        (store, '{"a": 1}', (({"a": 1},), {})),
        (build, "tea", (("tea",), {})),
        (build, '{"sku": "tea", "region": "us"}', ((), {"sku": "tea", "region": "us"})),
        (build, ' {"sku": "tea"}', ((), {"sku": "tea"})),
        (build, '["tea", "us"]', (('["tea", "us"]',), {})),
        (build, '{"sku": ', (('{"sku": ',), {})),
        (build, "{" * 50_000, (("{" * 50_000,), {})),
        (note, '{"sku": "tea", "size": 3}', ((), {"sku": "tea", "size": 3})),
    ],
    ids=lambda one: str(one)[:30],
)
def test_a_key_is_the_first_argument_or_an_object_of_several(function: Any, key: str, called: Called) -> None:
    assert called_with(JobRegistry(function), key) == called


@pytest.mark.parametrize(
    ("function", "key", "why"),
    [
        (count, "seven", "argument 'number' .* is 'seven'"),
        (count, "[" * 50_000, "argument 'number'"),
        (build, '{"sku": "tea", "regoin": "us"}', r"argument 'regoin' .* did you mean 'region'\?"),
        (build, '{"region": "us"}', "argument 'sku' .* is missing"),
        (build, "{}", "argument 'sku' .* is missing"),
        (build, '{"sku": 5}', "argument 'sku' .* is 5"),
    ],
    ids=lambda one: str(one)[:30],
)
def test_a_key_that_does_not_fit_is_refused(function: Any, key: str, why: str) -> None:
    with pytest.raises(BadArguments, match=why):
        called_with(JobRegistry(function), key)
