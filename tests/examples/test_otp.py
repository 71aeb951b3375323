"""The programs of docs/otp.md print the documented output and survive crashes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from headrace import Ref, Supervisor, TaskSupervisor
from headrace.errors import CallTimeout, ProcessDown
from tests.fakes.processes import Oops
from tests.fakes.programs import program
from tests.fakes.stepping import rest, until
from tests.house.tree import ROOT

purchase_metrics = program("otp/purchase_metrics.py")
supervised_tasks = program("otp/supervised_tasks.py")
results_in_turn = program("otp/results_in_turn.py")
results_at_once = program("otp/results_at_once.py")

SHOWN = {
    "purchase_metrics": """\
receipt 1: tea, 3.50 euros
receipt 2: cake, 4.00 euros
metrics received: [('shop_purchase_euros', 3.5)]; failed: [ConnectionError('the metric service is down')]
""",
    "supervised_tasks": """\
both prices are being looked up
tea is 3.50
rum has no price: KeyError('rum')
one took too long, and is cancelled
it ended normally after 2 attempts: ['report.csv']
""",
    "results_in_turn": """\
process 'results' did not answer within 0.02 s: give it longer with ref.within(seconds), \
or cast and ask for the result later
the result of one
the result of two
kept outside: one, two
""",
    "results_at_once": """\
not found
the result of one
not found
""",
}


@pytest.mark.parametrize("name", SHOWN)
def test_each_program_prints_what_its_page_says(name: str) -> None:
    command = [sys.executable, "-P", "-W", "error", f"examples/otp/{name}.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, SHOWN[name]), done.stderr


class Work:
    """Long work with a duration that the test sets."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Future[str]] = {}
        self.begun: list[str] = []

    async def __call__(self, key: str) -> str:
        self.begun.append(key)
        self.gates[key] = asyncio.get_running_loop().create_future()
        return await self.gates[key]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()
    monkeypatch.setattr(results_in_turn, "long_running", work)
    monkeypatch.setattr(results_at_once, "long_running", work)
    return work


@pytest_asyncio.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor("results") as supervisor:
        yield supervisor


@pytest_asyncio.fixture
async def tasks(supervisor: Supervisor) -> AsyncIterator[TaskSupervisor]:
    async with TaskSupervisor("tasks", supervisor.scheduler, shutdown_seconds=0.01) as tasks:
        yield tasks


def fail(_: object) -> None:
    """Raise, so that the server that runs this crashes."""
    raise Oops("x")


@pytest.mark.asyncio
async def test_a_purchase_is_not_hurt_by_its_metric(supervisor: Supervisor) -> None:
    metrics = purchase_metrics.MetricService()
    metrics.is_down = True
    shop = await supervisor.start_child(lambda: purchase_metrics.Shop(metrics), name="shop")
    failures: list[object] = []
    supervisor.scheduler.telemetry.attach("failures", ("headrace", "task", "failed"), lambda *_: failures.append(_))
    for _ in range(3):
        await shop.call(purchase_metrics.Shop.buy, "tea", 3.5)
    await until(lambda: len(failures) == 3)
    assert await shop.call(purchase_metrics.Shop.buy, "tea", 3.5) == "receipt 4: tea, 3.50 euros"


@pytest.mark.asyncio
async def test_a_task_that_is_run_again_is_done_once(capsys: pytest.CaptureFixture[str]) -> None:
    await supervised_tasks.again(print)
    assert capsys.readouterr().out == "it ended normally after 2 attempts: ['report.csv']\n"


@pytest.mark.asyncio
async def test_in_turn_whoever_asks_waits_behind_the_work_up_to_his_timeout(supervisor: Supervisor, work: Work) -> None:
    results = await supervisor.start_child(partial(results_in_turn.Results, {}), name="results")
    await results.cast(results_in_turn.Results.add, "one")
    with pytest.raises(CallTimeout):
        await results.within(0.01).call(results_in_turn.Results.find, "one")
    asking = asyncio.ensure_future(results.call(results_in_turn.Results.find, "one"))
    await rest(supervisor.scheduler)
    assert not asking.done()
    work.gates["one"].set_result("found")
    assert await asking == "found"


@pytest.mark.asyncio
async def test_in_turn_a_crash_keeps_reference_name_and_mail_and_loses_what_memory_held(
    supervisor: Supervisor, work: Work
) -> None:
    def fresh() -> object:
        return results_in_turn.Results({})

    results = await supervisor.start_child(fresh, name="results")
    await results.cast(results_in_turn.Results.add, "one")
    await until(lambda: "one" in work.gates)
    work.gates["one"].set_result("found")
    assert await results.call(results_in_turn.Results.find, "one") == "found"
    await results.cast(results_in_turn.Results.add, "two")
    await until(lambda: "two" in work.gates)
    waiting = asyncio.ensure_future(results.call(results_in_turn.Results.find, "two"))
    await rest(supervisor.scheduler)
    work.gates["two"].set_exception(Oops("two"))
    assert await waiting is None  # the mail was kept; what crashed is lost
    assert (
        await supervisor.whereis("results", results_in_turn.Results).call(results_in_turn.Results.find, "one") is None
    )


@pytest.mark.asyncio
async def test_in_turn_what_is_made_outside_survives_a_crash(supervisor: Supervisor, work: Work) -> None:
    kept = {"one": "found"}
    results = await supervisor.start_child(partial(results_in_turn.Results, kept), name="results")
    with pytest.raises(ProcessDown):
        await results.call(fail)
    assert await results.call(results_in_turn.Results.find, "one") == "found"
    assert work.begun == []


@pytest.mark.asyncio
async def test_at_once_whoever_asks_hears_not_found_until_the_work_is_done(
    supervisor: Supervisor, tasks: TaskSupervisor, work: Work
) -> None:
    results = await at_once(supervisor, tasks)
    await results.cast(results_at_once.Results.add, "one")
    assert await results.call(results_at_once.Results.find, "one") is None
    await results.cast(results_at_once.Results.add, "one")
    await rest(supervisor.scheduler)
    assert work.begun == ["one"]
    work.gates["one"].set_result("found")
    await found(results, "one")


@pytest.mark.asyncio
async def test_at_once_a_failing_task_hurts_no_other_and_its_key_may_be_asked_for_again(
    supervisor: Supervisor, tasks: TaskSupervisor, work: Work
) -> None:
    results = await at_once(supervisor, tasks)
    for key in ("one", "two"):
        await results.cast(results_at_once.Results.add, key)
    await until(lambda: len(work.gates) == 2)
    work.gates["one"].set_exception(Oops("one"))
    work.gates["two"].set_result("found")
    await found(results, "two")
    assert await results.call(results_at_once.Results.find, "one") is None
    await results.cast(results_at_once.Results.add, "one")
    await until(lambda: len(work.begun) == 3)
    work.gates["one"].set_result("found")
    await found(results, "one")


@pytest.mark.asyncio
async def test_at_once_work_goes_on_while_the_server_crashes_and_its_result_reaches_the_next_one(
    supervisor: Supervisor, tasks: TaskSupervisor, work: Work
) -> None:
    results = await at_once(supervisor, tasks)
    await results.cast(results_at_once.Results.add, "one")
    await until(lambda: "one" in work.gates)
    with pytest.raises(ProcessDown):
        await results.call(fail)
    work.gates["one"].set_result("found")
    await found(results, "one")
    assert work.begun == ["one"]


async def at_once(supervisor: Supervisor, tasks: TaskSupervisor) -> Ref[Any]:
    return await supervisor.start_child(lambda: results_at_once.Results(tasks, {}), name="results")


async def found(results: Ref[Any], key: str) -> None:
    """Return when a key has its result; the test's timeout is the deadline."""
    while await results.call(results_at_once.Results.find, key) != "found":
        pass
