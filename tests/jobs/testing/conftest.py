"""A tester over the workers of a small shop."""

from collections.abc import Iterator

import pytest

from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.testing import JobsTester
from tests.fakes import shop_workers


@pytest.fixture
def said() -> list[str]:
    shop_workers.SAID.clear()
    return shop_workers.SAID


@pytest.fixture
def shop(said: list[str]) -> Iterator[JobsTester]:
    with JobsTester(WorkerCatalogue.of_modules([shop_workers.__name__])) as tester:
        yield tester
