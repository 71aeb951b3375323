"""An app's own lifespan opens its `Jobs` as always, also in a test that has the app's workers."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.testing import JobsTester
from tests.fakes.shop_workers import SAID, mail, pack


def app_of(path: Path) -> FastAPI:
    """Return an app as the docs have it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Jobs(f"sqlite:///{path}", WorkerCatalogue([mail, pack])) as jobs:
            app.state.jobs = jobs
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/mails/{to}")
    async def send(to: str) -> int:
        return (await mail.enqueue(to)).id

    @app.get("/jobs/{number}")
    async def state(number: int, request: Request) -> str:
        job = await request.app.state.jobs.get(number)
        return str(job.state)

    @app.delete("/jobs/{number}")
    async def cancel(number: int, request: Request) -> list[int]:
        cancelled: list[int] = await request.app.state.jobs.cancel(number)
        return cancelled

    @app.post("/flows")
    async def start(request: Request) -> None:
        flow = Workflow("flow")
        flow.add(mail.new("bob"))
        await flow.start(request.app.state.jobs)

    return app


def test_the_lifespan_of_an_app_opens_the_jobs_of_the_test(tmp_path: Path, shop: JobsTester) -> None:
    path = tmp_path / "shop.db"
    with TestClient(app_of(path)) as client:
        number = client.post("/mails/ann").json()
        shop.assert_enqueued(mail, args={"to": "ann"})
        assert client.get(f"/jobs/{number}").json() == "available"
        assert client.delete(f"/jobs/{number}").json() == [number]
        assert client.get(f"/jobs/{number}").json() == "cancelled"
    assert list(tmp_path.iterdir()) == []
    mail.enqueue_sync("bob")
    shop.assert_enqueued(mail, args={"to": "bob"})


def test_what_the_app_hands_to_its_own_jobs_runs_as_the_test_wants_it(tmp_path: Path, said: list[str]) -> None:
    with JobsTester(WorkerCatalogue([mail]), "inline"), TestClient(app_of(tmp_path / "shop.db")) as client:
        client.post("/flows").raise_for_status()
    assert SAID == ["mail bob"]


def test_after_the_test_the_app_opens_its_own_jobs_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    app = app_of(path)
    with JobsTester(WorkerCatalogue([mail])), TestClient(app):
        pass
    assert pack.binding.service is None
    with TestClient(app) as client:
        assert client.get(f"/jobs/{client.post('/mails/ann').json()}").json() == "available"
    assert path.exists()


@pytest.mark.asyncio
async def test_jobs_that_were_made_before_the_test_open_and_close_twice(tmp_path: Path) -> None:
    jobs = Jobs(f"sqlite:///{tmp_path / 'shop.db'}", WorkerCatalogue([mail]), {"mail": 2})
    for _ in range(2):
        with JobsTester(WorkerCatalogue([mail])) as tester:
            async with jobs:
                await mail.enqueue("ann")
                assert await jobs.is_idle()
                assert len(tester.all_enqueued(mail)) == 1
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - nothing else runs on the loop
