"""What an error comes to for people."""

import asyncio
import json
import sys
from functools import partial
from typing import Any, Final

import pytest

from headrace.console.cli.output import full_text, is_headrace_bug, sentence
from headrace.errors import MailboxFull
from headrace.http.address import parse_address
from headrace.stages.functions import apply_to_events
from tests.console.cli.raised import raised

BAD_ADDRESS: Final[Any] = 9470
"""What our own code would never hand over."""


def priced(event: dict[str, float]) -> float:
    return event["price"] / event["count"]


def test_a_users_error_is_a_sentence_with_its_line() -> None:
    error = raised(ZeroDivisionError, lambda: priced({"price": 1.0, "count": 0.0}))
    line = priced.__code__.co_firstlineno + 1
    assert sentence(error) == f"ZeroDivisionError: float division by zero ({__file__}, line {line}, in priced)"
    assert not is_headrace_bug(error)


def test_an_error_of_a_library_that_a_user_called_is_at_the_users_line() -> None:
    error = raised(json.JSONDecodeError, lambda: json.loads("{"))
    assert "test_reasons.py" in sentence(error)
    assert not is_headrace_bug(error)


def test_an_error_in_headraces_own_code_is_our_fault() -> None:
    error = raised(AttributeError, partial(parse_address, BAD_ADDRESS))
    assert is_headrace_bug(error)
    assert sentence(error).startswith("AttributeError: ")
    assert "Traceback" in full_text(error)


def test_a_wish_to_end_is_nobodys_bug() -> None:
    def fail(position: int, error: BaseException) -> None:
        pytest.fail(f"{position}: {error}")

    ends: Any = sys.exit
    assert not is_headrace_bug(raised(SystemExit, partial(apply_to_events, ends, [3], fail)))


@pytest.mark.parametrize("error", [MailboxFull("x", 5), OSError(28, "No space left"), asyncio.CancelledError()])
def test_what_comes_from_outside_is_nobodys_bug(error: BaseException) -> None:
    assert not is_headrace_bug(error)


def test_an_error_of_headraces_is_its_own_sentence_and_another_has_its_class() -> None:
    full = MailboxFull("x", 5)
    assert sentence(full) == str(full)
    assert sentence(KeyError("price")) == "KeyError: 'price'"
    assert sentence(TimeoutError()) == "TimeoutError"
