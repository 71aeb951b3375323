"""The arithmetic of retries."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.failure import Retry, retry_after

SECONDS = st.floats(0, 1e6, allow_nan=False)
CHANCE = st.floats(0, 1, exclude_max=True)


@given(SECONDS, SECONDS, st.integers(1, 10_000), CHANCE)
def test_a_wait_is_drawn_from_a_span_that_doubles_up_to_its_bound(
    base: float, most: float, attempt: int, chance: float
) -> None:
    retry = Retry(backoff_seconds=base, max_backoff_seconds=most)
    longest = min(base * 2.0 ** min(attempt - 1, 60), most)
    assert retry.seconds(attempt, chance) == pytest.approx(chance * longest)
    assert retry.seconds(attempt, chance) <= retry.seconds(attempt + 1, chance)


@given(SECONDS, st.floats(allow_nan=False))
def test_what_a_server_asks_for_is_waited_for_within_the_bound(most: float, asked: float) -> None:
    seconds = Retry(max_backoff_seconds=most).seconds(1, 0.5, asked)
    assert 0 <= seconds <= most
    assert seconds == pytest.approx(min(max(asked, 0), most))


@pytest.mark.parametrize(
    ("error", "attempt", "is_wanted"),
    [
        (ConnectionError(), 1, True),
        (ConnectionError(), 2, True),
        (ConnectionError(), 3, False),
        (ConnectionResetError(), 1, False),
        (ValueError(), 1, False),
    ],
)
def test_only_errors_of_the_classes_on_and_none_of_not_on_are_tried_again(
    error: BaseException, attempt: int, *, is_wanted: bool
) -> None:
    retry = Retry(3, on=(OSError,), not_on=(ConnectionResetError,))
    assert retry.is_wanted(error, attempt) is is_wanted


@pytest.mark.parametrize(
    ("retry", "fault"),
    [
        (Retry(0), "of 0 attempts: it must be a whole number, 1 or more"),
        (Retry(True), "of True attempts: it must be a whole number, 1 or more"),
        (Retry(backoff_seconds=-1), "with a backoff_seconds of -1: it must be a number of seconds, 0 or more"),
        (
            Retry(max_backoff_seconds=float("nan")),
            "with a max_backoff_seconds of nan: it must be a number of seconds, 0 or more",
        ),
    ],
)
def test_what_cannot_be_is_said(retry: Retry, fault: str) -> None:
    assert list(retry.problems()) == [fault]


def test_an_error_says_by_a_number_alone_when_it_may_be_tried_again() -> None:
    busy = OSError("busy")
    assert retry_after(busy) is None
    for said, heard in ((3, 3.0), (0.5, 0.5), ("3", None), (True, None), (math.nan, None)):
        busy.retry_after_seconds = said  # type: ignore[attr-defined]
        assert retry_after(busy) == heard
