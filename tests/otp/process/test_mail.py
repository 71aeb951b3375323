"""Mail: which method it opens, and what the caller hears."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from headrace.errors import ProcessDown
from headrace.otp.process.mailbox import Envelope
from tests.fakes.processes import Oops, said


class Clerk:
    """Says who it is."""

    label = "an attribute, not a method"

    def name(self, *titles: str, suffix: str = "") -> str:
        return " ".join((*titles, "clerk")) + suffix


class HeadClerk(Clerk):
    """Says it in its own way."""

    def name(self, *titles: str, suffix: str = "") -> str:
        return "head " + super().name(*titles, suffix=suffix)


class Reader:
    """Takes info."""

    def handle_info(self, message: object) -> object:
        return ("read", message)


def name(clerk: Clerk) -> str:
    return f"a function about {type(clerk).__name__}"


def label(clerk: Clerk) -> str:
    return f"a label for {type(clerk).__name__}"


def test_a_method_is_the_subclass_s_own() -> None:
    assert Envelope(Clerk.name, ("dear",), {"suffix": "!"}).open(HeadClerk(), "owner") == "head dear clerk!"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (name, "a function about HeadClerk"),
        (label, "a label for HeadClerk"),
        (lambda clerk: type(clerk).__name__, "HeadClerk"),
        (partial(Clerk.name, suffix="?"), "clerk?"),
    ],
)
def test_a_function_that_belongs_to_no_class_is_called_as_it_is(
    function: Callable[[Clerk], str], expected: str
) -> None:
    assert Envelope(function).open(HeadClerk(), "owner") == expected


def test_info_goes_to_handle_info() -> None:
    assert Envelope(None, ("news",)).open(Reader(), "owner") == ("read", "news")


def test_info_that_nobody_handles_is_named_in_the_log_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    assert Envelope(None, ("x" * 1000,)).open(Clerk(), "owner") is None
    [message] = said(caplog, level=30)
    assert message.startswith("process 'owner' has no handle_info and drops 'xxx")
    assert len(message) < 300


@pytest.mark.asyncio
async def test_a_caller_gets_the_first_thing_that_it_is_told() -> None:
    reply = asyncio.get_running_loop().create_future()
    mail = Envelope(Clerk.name, reply=reply)
    assert not mail.is_abandoned
    mail.answer("clerk")
    mail.fail("owner", "shutdown")
    assert await reply == "clerk"


@pytest.mark.asyncio
async def test_a_caller_who_waits_hears_why_the_process_ended() -> None:
    reply = asyncio.get_running_loop().create_future()
    reason = Oops("ink")
    Envelope(Clerk.name, reply=reply).fail("owner", reason)
    with pytest.raises(ProcessDown, match=r"'owner' ended before it answered \(Oops: ink\)") as caught:
        await reply
    assert caught.value.reason is caught.value.__cause__ is reason


@pytest.mark.asyncio
async def test_nobody_is_told_who_has_given_up() -> None:
    reply = asyncio.get_running_loop().create_future()
    mail = Envelope(Clerk.name, reply=reply)
    reply.cancel()
    assert mail.is_abandoned
    mail.answer("clerk")
    mail.fail("owner", "shutdown")
    assert reply.cancelled()
