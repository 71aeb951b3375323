"""GenServers: plain classes whose methods are their messages."""

import asyncio
import logging

import pytest

from headrace.errors import ProcessDown, StartFailed
from headrace.otp.gen_server import GenServer
from tests.fakes.processes import Oops, said, supervising

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


async def long_running(key: str) -> str:
    """Stand for work that takes long."""
    await asyncio.sleep(0)
    return f"the result of {key}"


class Results(GenServer):
    """The example of the documentation."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def add(self, key: str) -> None:
        self.values[key] = await long_running(key)

    def find(self, key: str) -> str | None:
        return self.values.get(key)


class Stock(GenServer):
    """Opens at its start and closes at its end, at once."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def init(self) -> None:
        self.log.append("init")

    def count(self) -> int:
        return len(self.log)

    def lose(self) -> None:
        raise Oops

    def handle_info(self, message: str) -> None:
        self.log.append(message)

    def terminate(self, reason: object) -> None:
        self.log.append(f"terminate {reason}")


class SlowStock(Stock):
    """Does the same in its own time."""

    async def init(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().init()

    async def handle_info(self, message: str) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().handle_info(message)

    async def terminate(self, reason: object) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().terminate(reason)


STOCKS = pytest.mark.parametrize("kind", [Stock, SlowStock])


async def test_the_example_of_the_documentation_does_what_it_says() -> None:
    async with supervising() as supervisor:
        results = await supervisor.start_child(Results, name="results")
        await results.cast(Results.add, "something")
        assert await results.call(Results.find, "something") == "the result of something"
        assert await results.call(Results.find, "else") is None


@STOCKS
async def test_callbacks_may_be_sync_or_async(kind: type[Stock]) -> None:
    stock = kind()
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: stock, name="stock")
        assert stock.log == ["init"]
        ref.info("news")
        assert await ref.call(Stock.count) == 2
    assert stock.log == ["init", "news", "terminate shutdown"]


@STOCKS
async def test_terminate_is_called_once_with_the_reason_of_a_crash(kind: type[Stock]) -> None:
    stocks = [kind(), kind()]
    made = iter(stocks)
    async with supervising() as supervisor:
        ref = await supervisor.start_child(lambda: next(made), name="stock")
        with pytest.raises(ProcessDown):
            await ref.call(Stock.lose)
        assert await ref.call(Stock.count) == 1
    assert [stock.log for stock in stocks] == [["init", "terminate "], ["init", "terminate shutdown"]]


async def test_an_init_that_fails_is_told_in_one_sentence_and_leaves_nobody() -> None:
    class NoStock(Stock):
        async def init(self) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            message = "no such warehouse: 'north'"
            raise LookupError(message)

    made: list[NoStock] = []

    def make() -> NoStock:
        made.append(NoStock())
        return made[-1]

    async with supervising() as supervisor:
        with pytest.raises(StartFailed) as caught:
            await supervisor.start_child(make, name="stock")
        assert str(caught.value) == "'stock' could not start: LookupError: no such warehouse: 'north'"
        assert supervisor.which_children() == []
    assert [stock.log for stock in made] == [["terminate no such warehouse: 'north'"]]


async def test_info_is_dropped_by_a_server_that_does_not_handle_it_and_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with supervising() as supervisor:
        results = await supervisor.start_child(Results, name="results")
        results.info({"news": 1})
        assert await results.call(Results.find, "news") is None
    assert said(caplog, logging.WARNING) == ["process 'results' has no handle_info and drops {'news': 1}"]


async def test_a_class_that_is_no_gen_server_will_do() -> None:
    async with supervising() as supervisor:
        words = await supervisor.start_child(lambda: ["a"], name="words")
        await words.cast(list[str].append, "b")
        assert await words.call(len) == 2
