from dataclasses import replace
from typing import Any

import pytest

from headrace.jobs.errors import BadAnswer
from headrace.jobs.job import NewJob, Snooze
from headrace.jobs.running.enqueue import NextCall, around, passed
from headrace.jobs.running_job import RunningJob
from tests.fakes.job_records import a_job

JOB = NewJob("shop.build", {"sku": 7})


def test_each_function_gets_what_the_one_before_returned() -> None:
    def tagged(job: NewJob) -> NewJob:
        return replace(job, tags=(*job.tags, str(len(job.tags))))

    assert passed(JOB, [tagged, tagged]) == replace(JOB, tags=("0", "1"))
    assert passed(JOB, []) is JOB


def test_a_job_that_is_dropped_reaches_nobody_further() -> None:
    def never(job: NewJob) -> NewJob:
        raise AssertionError(job)

    assert passed(JOB, [lambda _: None, never]) is None


def test_a_function_that_returns_something_else_is_named() -> None:
    def forgets(job: NewJob) -> Any:
        return job.args

    with pytest.raises(BadAnswer, match=r"forgets' returned dict for a new job, and must return a NewJob"):
        passed(JOB, [forgets])


async def answered(*middleware: Any, answer: object = "done") -> object:
    async def call() -> object:
        return answer

    return await around(middleware, RunningJob(a_job()), call)()


@pytest.mark.asyncio
async def test_the_first_is_outermost() -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        async def middleware(running: RunningJob, call: NextCall) -> object:
            order.append(f"{name} {running.id}")
            answer = await call()
            order.append(name)
            return answer

        return middleware

    assert await answered(named("a"), named("b")) == "done"
    assert order == ["a 7", "b 7", "b", "a"]


@pytest.mark.asyncio
async def test_a_middleware_that_forgets_to_return_loses_no_answer() -> None:
    async def forgets(running: RunningJob, call: NextCall) -> None:
        await call()

    assert await answered(forgets, forgets, answer=Snooze(5)) == Snooze(5)
    assert await answered(forgets, answer=None) is None


@pytest.mark.asyncio
async def test_a_middleware_may_answer_itself() -> None:
    async def later(running: RunningJob, call: NextCall) -> Snooze:
        return Snooze(60)

    assert await answered(later) == Snooze(60)


@pytest.mark.asyncio
async def test_a_middleware_that_neither_runs_the_job_nor_answers_fails_it() -> None:
    async def idle(running: RunningJob, call: NextCall) -> None: ...

    with pytest.raises(BadAnswer, match=r"idle' neither ran job 7 nor answered for it"):
        await answered(idle)


@pytest.mark.asyncio
async def test_what_a_middleware_raises_fails_the_attempt() -> None:
    async def broken(running: RunningJob, call: NextCall) -> None:
        await call()
        raise LookupError

    with pytest.raises(LookupError):
        await answered(broken)
