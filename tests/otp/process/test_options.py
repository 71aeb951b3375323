"""What nobody can mean is refused where it is said, in one sentence, and hurts no process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from headrace.errors import BadOption
from headrace.otp.gen_server import GenServer
from headrace.otp.process.state import ProcessSettings
from headrace.otp.registry import Registry
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.supervisor import Supervisor
from headrace.otp.task import Task
from headrace.otp.task_supervisor import TaskSupervisor
from tests.fakes.processes import Gate, start_gate, supervising
from tests.fakes.tasks import double

pytestmark = pytest.mark.asyncio


class Obedient(GenServer):
    """Does what it is told to do with itself, and says what came of it."""

    def attempt(self, word: str, *args: object) -> str:
        try:
            getattr(self, word)(*args)
        except BadOption as error:
            return str(error)
        return "nothing"

    def handle_timeout(self) -> None:
        raise AssertionError

    def handle_info(self, _: object) -> None:
        raise AssertionError


def odd(value: object) -> Any:
    """Return a value of which no type checker is to say that it is wrong."""
    return value


async def nothing(_: int) -> None:
    return None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ProcessSettings(mailbox_limit=0), "mailbox_limit is 0, and must be a whole number, 1 or more"),
        (
            lambda: ProcessSettings(mailbox_limit=odd("9")),
            "mailbox_limit is '9', and must be a whole number, 1 or more",
        ),
        (
            lambda: ProcessSettings(mailbox_limit=odd(None)),
            "mailbox_limit is None, and must be a whole number, 1 or more",
        ),
        (
            lambda: ProcessSettings(shutdown_seconds=-1),
            "shutdown_seconds is -1, and must be a number of seconds, 0 or more, or None for ever",
        ),
        (lambda: ChildSpec(odd(5)), "factory is 5, and must be a class, or a function that makes the child"),
        (lambda: ChildSpec(Gate, odd(5)), "name is 5, and must be text, or None for the factory's own"),
        (lambda: ChildSpec(Gate, settings=odd(None)), "settings is None, and must be a ProcessSettings"),
        (lambda: ChildSpec(Gate, args=odd(5)), "args is 5, and must be a tuple of what the factory is called with"),
        (lambda: Supervisor("s", children=odd(5)), "children is 5, and must be a tuple of ChildSpecs"),
        (lambda: Supervisor("s", children=odd((5,))), "children is (5,), and must be a tuple of ChildSpecs"),
        (lambda: Supervisor("s", max_restarts=odd("3")), "max_restarts is '3', and must be a whole number, 0 or more"),
        (
            lambda: Supervisor("s", max_seconds=odd("5")),
            "max_seconds is '5', and must be a number of seconds, 0 or more",
        ),
        (
            lambda: TaskSupervisor("t", max_children=odd("x")),
            "max_children is 'x', and must be a whole number, 1 or more",
        ),
        (lambda: Task.start(odd(5)), "function is 5, and must be a function, which Task calls with what follows it"),
        (lambda: Task.spawn(odd(None)), "function is None, and must be a function"),
        (lambda: Task.child_spec(odd(5)), "factory is 5, and must be"),
        (lambda: TaskSupervisor("t").start_child(odd(5)), "function is 5, and must be a function"),
        (lambda: TaskSupervisor("t").spawn(odd(5)), "function is 5, and must be a function"),
        (lambda: Task.async_stream(odd(5), [1]), "function is 5, and must be a function"),
        (lambda: Task.async_stream(nothing, odd(5)), "source is 5, and must be an iterable or an async iterable"),
        (
            lambda: Task.async_stream(nothing, [], max_concurrency=odd("x")),
            "max_concurrency is 'x', and must be a whole number, 1 or more",
        ),
        (
            lambda: Task.async_stream(nothing, [], timeout_seconds=odd("x")),
            "timeout_seconds is 'x', and must be a number of seconds, 0 or more, or None for ever",
        ),
        (lambda: Registry().register("key", odd(5)), "ref is 5, and must be the Ref of a process"),
        (lambda: Registry().keys(odd(5)), "ref is 5, and must be the Ref of a process"),
    ],
)
async def test_an_option_that_cannot_be_is_refused_at_the_door(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(BadOption) as caught:
        make()
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("reason", [5, None, "crash", KeyError])
async def test_a_process_that_is_told_to_end_for_no_reason_goes_on(reason: object) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Obedient)
        sentence = f"reason is {reason!r}, and must be 'normal', 'shutdown' or an exception"
        with pytest.raises(BadOption) as caught:
            ref.stop(odd(reason))
        assert str(caught.value) == sentence
        assert await ref.call(Obedient.attempt, "stop", reason) == sentence
        assert ref.is_alive


@pytest.mark.parametrize(
    ("word", "args", "sentence"),
    [
        ("monitor", (5,), "ref is 5, and must be the Ref of a process"),
        ("link", ("stock",), "ref is 'stock', and must be the Ref of a process"),
        ("unlink", (None,), "ref is None, and must be the Ref of a process"),
        ("demonitor", (5,), "watch is 5, and must be the Monitor that monitor returned"),
    ],
)
async def test_a_word_for_another_process_wants_its_ref(word: str, args: tuple[object], sentence: str) -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Obedient)
        assert await ref.call(Obedient.attempt, word, *args) == sentence


@pytest.mark.parametrize("method", ["count", 5, None])
async def test_a_caller_that_names_no_method_hears_so_and_the_process_does_not_crash(method: object) -> None:
    async with supervising() as supervisor:
        ref, _ = await start_gate(supervisor)
        for send in (ref.call, ref.cast, ref.cast_nowait):
            with pytest.raises(BadOption) as caught:
                await odd(send)(method)
            assert (
                str(caught.value)
                == f"method is {method!r}, and must be a method of the process, as in ref.call(Stock.count)"
            )
        assert ref.is_alive
        assert await ref.call(Gate.noted) == []


async def test_a_call_may_wait_for_ever_or_as_long_as_it_says() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Obedient)
        with pytest.raises(BadOption, match="seconds is 'x', and must be a number of seconds, or None for ever"):
            ref.within(odd("x"))
        assert await ref.within(None).call(lambda _: 7) == 7
        task = Task.spawn(double, 4)
        with pytest.raises(
            BadOption, match="timeout_seconds is 'x', and must be a number of seconds, or None for ever"
        ):
            await task.result(odd("x"))
        assert await task.result(None) == 8


async def test_a_stream_over_a_source_that_fails_at_once_raises_what_it_raised() -> None:
    stream = Task.async_stream(double, (number // 0 for number in [1]))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(anext(stream), 5)
