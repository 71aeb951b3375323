import functools
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import pytest

from headrace.jobs.arguments import CodecError
from headrace.jobs.errors import BadAnswer, BadArguments, BadTime, BadWorker, JobDropped, NoRunningJob, NotBound
from headrace.jobs.handle import Handle
from headrace.jobs.job import Discard, NewJob, Snooze, Unique
from headrace.jobs.running_job import RUNNING_JOB, RunningJob
from headrace.jobs.worker import worker
from tests.fakes.enqueueing import ListService
from tests.fakes.job_records import NOON, a_job


@worker
async def build(sku: int, country: str = "eu") -> str:
    return f"{sku} for {country}"


@worker(name="shop.pack", record=True, queue="packing", priority=3, max_attempts=5, tags=[" Big", "big", "RED "])
def pack(sku: int, *, weight: float = 1.0) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=sku * weight)


@worker
async def watched(job: RunningJob, sku: int) -> tuple[int, int]:
    return job.id, sku


@worker
def stored(key: object, sku: int) -> None: ...


NAME = f"{build.function.__module__}.build"


@pytest.fixture
def service() -> Iterator[ListService]:
    service = ListService(results={1: "2026-01-01T00:00:07Z"})
    for one in (build, pack):
        one.binding.bind(service)
    yield service
    for one in (build, pack):
        one.binding.unbind(service)


@pytest.mark.asyncio
async def test_a_worker_is_called_as_the_function_was() -> None:
    assert await build(7, country="us") == "7 for us"
    assert pack(2) == datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert getattr(build, "__name__", None) == "build"


@pytest.mark.asyncio
async def test_a_function_that_takes_the_running_job_is_given_it_by_whoever_calls() -> None:
    with pytest.raises(NoRunningJob):
        await watched(7)
    running = RunningJob(a_job())
    assert await watched.function(running, 7) == (7, 7)
    anything: Any = watched
    assert await anything(running, 7) == await anything(sku=7, job=running) == (7, 7)
    token = RUNNING_JOB.set(running)
    assert await watched(8) == await watched(sku=8) == (7, 8)
    RUNNING_JOB.reset(token)


def test_a_default_in_the_place_of_the_running_job_stays_when_the_function_is_called() -> None:
    @worker
    def maybe(sku: int, job: RunningJob | None = None) -> object:
        return job

    assert maybe(7) is None


async def types_are_kept() -> None:
    """Mypy reads it; nobody runs it."""
    assert_type(await build(7), str)
    assert_type(await build.enqueue(7, "eu"), Handle[str])
    assert_type(await (await build.enqueue(7)).result(), str)
    assert_type(await pack.enqueue(7, weight=2), Handle[datetime])
    assert_type(pack.enqueue_sync(7), Handle[datetime])
    assert_type(await pack.schedule_in(5, 7), Handle[datetime])
    assert_type(await pack.enqueue_many([(7,)]), list[Handle[datetime]])
    await build.enqueue("seven")  # type: ignore[arg-type] # it must be refused
    await build.enqueue(7, land="us")  # type: ignore[call-arg] # it must be refused
    assert_type(await watched.enqueue(7), Handle[tuple[int, int]])
    assert_type(await watched(7), tuple[int, int])
    stored.new(key="a", sku=7)
    pack.new(7, 2.0)  # type: ignore[call-arg] # it must be refused


@pytest.mark.asyncio
async def test_enqueueing_keeps_the_call_as_a_job(service: ListService) -> None:
    handle = await pack.enqueue(7, weight=0.5)
    assert (handle.id, handle.is_conflict, handle.is_dropped) == (1, False, False)
    assert service.jobs == [
        NewJob("shop.pack", {"sku": 7, "weight": 0.5}, "packing", 3, 5, ("big", "red"), {}),
    ]


@pytest.mark.asyncio
async def test_a_worker_is_named_after_its_function_unless_it_says_otherwise(service: ListService) -> None:
    await build.enqueue(7)
    assert (build.name, pack.name) == (NAME, "shop.pack")
    assert service.jobs == [NewJob(NAME, {"sku": 7})]


@pytest.mark.asyncio
async def test_what_is_scheduled_has_its_time(service: ListService) -> None:
    late = datetime(2027, 1, 1, tzinfo=UTC)
    await build.schedule_in(90, 7)
    await build.schedule_at(late, 7)
    assert [job.scheduled_at for job in service.jobs] == [NOON + timedelta(seconds=90), late]
    with pytest.raises(BadTime, match="has no time zone: add one"):
        await build.schedule_at(late.replace(tzinfo=None), 7)


@pytest.mark.asyncio
async def test_many_calls_are_kept_in_their_order(service: ListService) -> None:
    handles = await build.enqueue_many([(1,), {"sku": 2, "country": "us"}, [3, "eu"]])
    assert [handle.id for handle in handles] == [1, 2, 3]
    assert [job.args for job in service.jobs] == [{"sku": 1}, {"sku": 2, "country": "us"}, {"sku": 3, "country": "eu"}]
    assert await build.enqueue_many([]) == []


@pytest.mark.asyncio
async def test_of_many_calls_none_is_kept_when_one_does_not_fit(service: ListService) -> None:
    with pytest.raises(BadArguments, match=r"argument 'sku' .* is 'two'"):
        await build.enqueue_many([(1,), ("two",)])
    assert service.jobs == []


@pytest.mark.asyncio
async def test_what_is_no_list_of_calls_is_refused(service: ListService) -> None:
    for calls, found in ((5, "int"), (None, "NoneType"), (build, "Worker")):
        with pytest.raises(BadArguments, match=f"worker '{build.name}' cannot be called with {found}: give a list of"):
            await build.enqueue_many(calls)  # type: ignore[arg-type] # that is what is wrong
    for text in ("7", {"sku": 7}):
        with pytest.raises(BadArguments, match="cannot be called with str: give its arguments in a tuple or in a dict"):
            await build.enqueue_many(text)
    assert service.jobs == []


def test_a_call_can_be_kept_with_no_loop_at_all(service: ListService) -> None:
    assert build.enqueue_sync(7).id == 1


def test_a_call_can_be_kept_inside_somebodys_transaction(service: ListService) -> None:
    connection = sqlite3.connect(":memory:")
    assert build.enqueue_in(connection, 7).id == 1
    assert service.connections == [connection]
    assert connection.in_transaction
    connection.close()


@pytest.mark.asyncio
async def test_the_result_has_the_type_that_the_function_returns(service: ListService) -> None:
    assert await (await pack.enqueue(7)).result(1) == datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)


@pytest.mark.asyncio
async def test_a_recorded_result_that_fits_no_more_is_said_so() -> None:
    @worker(record=True)
    async def count() -> int:
        return 7

    service = ListService(results={1: "many"})
    count.binding.bind(service)
    with pytest.raises(BadAnswer, match=r"the recorded result of worker .* is 'many', and must be a whole number"):
        await (await count.enqueue()).result()


def test_a_result_is_none_of_the_answers() -> None:
    @worker(record=True)
    def count() -> int | Snooze | Discard:
        return 7

    with pytest.raises(CodecError, match=", and must be a whole number"):
        count.results.encoded("many")
    assert count.results.encoded(7) == 7


@pytest.mark.asyncio
async def test_a_handle_says_what_became_of_the_job() -> None:
    @worker(unique=True)
    async def once(sku: int) -> None: ...

    service = ListService(dropped=[NAME])
    once.binding.bind(service)
    first, second = await once.enqueue(7), await once.enqueue(7)
    assert (first.id, first.is_conflict, second.id, second.is_conflict) == (1, False, 1, True)
    build.binding.bind(service)
    dropped = await build.enqueue(7)
    build.binding.unbind(service)
    assert dropped.is_dropped
    for ask in (lambda: dropped.id, dropped.result):
        with pytest.raises(JobDropped, match="a middleware dropped the job"):
            await ask()  # type: ignore[misc] # the first raises before it could be awaited


@pytest.mark.asyncio
async def test_a_worker_whose_jobs_nobody_keeps_says_so() -> None:
    with pytest.raises(NotBound, match="enqueues to no Jobs yet: open a Jobs that lists its module"):
        await build.enqueue(7)
    assert build.new(7) == NewJob(NAME, {"sku": 7})


def test_a_worker_has_one_service_at_a_time(service: ListService) -> None:
    build.binding.bind(service)
    other = ListService()
    with pytest.raises(NotBound, match="to another Jobs already: close that one first"):
        build.binding.bind(other)
    build.binding.unbind(other)
    assert build.enqueue_sync(7).id == 1
    build.binding.unbind(service)
    build.binding.bind(other)
    assert build.enqueue_sync(7).id == 1
    build.binding.unbind(other)


def test_a_variant_enqueues_otherwise_and_shares_the_service(service: ListService) -> None:
    urgent = pack.with_options(priority=0, queue="now")
    urgent.enqueue_sync(7)
    job = service.jobs[0]
    assert (job.worker, job.priority, job.queue, job.max_attempts) == ("shop.pack", 0, "now", 5)
    assert (pack.options.priority, pack.options.queue) == (3, "packing")
    assert (urgent.original, pack.original) == (pack, pack)


def test_a_variant_says_nothing_else_about_its_worker() -> None:
    words: Any = {"name": "shop.other"}
    with pytest.raises(BadWorker, match=r"shop\.pack cannot be a worker: name is no option of one job"):
        pack.with_options(**words)
    with pytest.raises(BadWorker, match="priority is 11"):
        pack.with_options(priority=11)


def test_a_job_that_expires_keeps_its_deadline(service: ListService) -> None:
    build.with_options(expires_in_seconds=60).enqueue_sync(7)
    assert service.jobs[0].meta == {"deadline": "2026-11-24T12:01:00.000000Z"}


def test_a_def_runs_in_a_thread_and_an_async_def_on_the_loop_unless_it_says_otherwise() -> None:
    @worker(executor="inline")
    def quick() -> None: ...

    assert (build.options.executor, pack.options.executor, quick.options.executor) == ("inline", "thread", "inline")


def test_a_worker_travels_by_name() -> None:
    assert build.reference == f"{build.function.__module__}:build"
    assert pickle.loads(pickle.dumps([build, pack])) == [build, pack]  # noqa: S301 - our own bytes


def a_method_of(_: object) -> Callable[..., object]:
    class Shop:
        def build(self, sku: int) -> None: ...

    return Shop.build


def generating() -> Iterator[int]:
    yield 1


def nested() -> Callable[..., object]:
    def inner(sku: int) -> None: ...

    return inner


def plain(sku: int) -> None: ...


@functools.wraps(build.function)
def around_async(*args: Any, **kwargs: Any) -> object:
    return build(*args, **kwargs)


async def slow(sku: int) -> None: ...


def stars(*skus: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "words", "why"),
    [
        (lambda sku: sku, {}, "a lambda has no name"),
        (stars, {}, r"\*skus gives its arguments no names"),
        (around_async, {}, "it is a def around an async def"),
        (generating, {}, "it is a generator, and its values would be lost"),
        (a_method_of(0), {}, "no object could be kept to call a method on"),
        (int, {}, "it is no function"),
        (RunningJob, {}, "it is no function"),
        (plain, {"priority": 10}, "priority is 10, and must be a whole number from 0, the most urgent, to 9"),
        (plain, {"priority": True}, "priority is True"),
        (plain, {"max_attempts": 0}, "max_attempts is 0, and must be a whole number from 1 on"),
        (plain, {"queue": ""}, "queue is '', and must be text of 1 to 127"),
        (plain, {"name": "x" * 128}, "name is 'xxx.*, and must be text of 1 to 127"),
        (plain, {"aliases": "shop.old"}, "aliases is 'shop.old', and must be a list"),
        (plain, {"tags": [7]}, r"tags is \[7\]"),
        (plain, {"timeout_seconds": 0}, "timeout_seconds is 0"),
        (plain, {"timeout_seconds": float("inf")}, "timeout_seconds is inf"),
        (plain, {"backoff": "linear"}, 'backoff is \'linear\', and must be "oban", "sidekiq", seconds'),
        (plain, {"backoff": slow}, "backoff is <function slow"),
        (plain, {"backoff": lambda: 1}, "backoff is <function .* a def that takes three: attempt, error, job"),
        (plain, {"backoff": lambda attempt, error, job, more: 1}, "backoff is <function"),
        (plain, {"backoff": lambda attempt, error, *, job: 1}, "backoff is <function"),
        (plain, {"on_exhausted": lambda: 1}, "on_exhausted is .* takes two: the job, and its error as text"),
        (plain, {"on_exhausted": lambda job, error, more: 1}, "on_exhausted is <function"),
        (plain, {"unique": "yes"}, "unique is 'yes', and must be a Unique"),
        (plain, {"executor": "ray"}, "executor is 'ray'"),
        (plain, {"record": 1}, "record is 1"),
        (plain, {"on_exhausted": "log"}, "on_exhausted is 'log'"),
        (plain, {"expires_in_seconds": -1}, "expires_in_seconds is -1"),
        (plain, {"record": None}, "record is None"),
        (plain, {"max_attempt": 3}, r"max_attempt is no option of a worker: did you mean max_attempts\?"),
        (plain, {"zzz": 3}, "zzz is no option of a worker: the options are queue, "),
        (plain, {"executor": "inline", "timeout_seconds": 5}, "a def that runs on the loop cannot be ended in time"),
        (slow, {"executor": "thread"}, "an async def runs on the loop"),
        (nested(), {"executor": "subprocess"}, "no other OS process can import a function inside a function"),
    ],
)
def test_what_makes_no_worker_is_refused_where_it_is_decorated(
    function: Callable[..., object], words: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadWorker, match=f"cannot be a worker: .*{why}") as refused:
        worker(**words)(function)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        {"timeout_seconds": 5, "executor": "subprocess"},
        {
            "timeout_seconds": None,
            "backoff": None,
            "unique": None,
            "on_exhausted": None,
            "executor": None,
            "name": None,
        },
        {"backoff": 0},
        {"backoff": lambda attempt, error, job, least=5: least, "on_exhausted": lambda job, error: None},
        {"backoff": max, "on_exhausted": print},
        {"on_exhausted": functools.partial(print, "given up")},
        {"backoff": lambda *_: 5, "unique": Unique(period_seconds=None), "executor": "subprocess"},
    ],
)
def test_what_fits_is_taken(words: dict[str, Any]) -> None:
    assert worker(**words)(plain).new(7).args == {"sku": 7}


def test_a_timeout_that_cannot_end_a_def_is_warned_about_where_it_is_written() -> None:
    with pytest.warns(UserWarning, match="timeout_seconds cannot end a def in a thread") as warned:

        @worker(timeout_seconds=5)
        def deaf() -> None: ...

    assert warned[0].filename == __file__

    @worker(timeout_seconds=5)
    def heeds(job: RunningJob) -> None:
        assert not job.is_cancelled

    assert deaf.options.timeout_seconds == heeds.options.timeout_seconds == 5
