import enum
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.errors import JobTimeout
from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptSnoozed,
    Cancel,
    Discard,
    Snooze,
    to_text,
)
from headrace.jobs.running.outcomes import (
    ERROR_LIMIT,
    error_text,
    is_discarded,
    outcome_of_answer,
    outcome_of_error,
    outcome_of_expiry,
    sound,
    with_notes,
)
from headrace.jobs.running_job import RunningJob
from headrace.jobs.worker import worker
from tests.fakes.job_records import NOON, a_job


class Size(enum.Enum):
    BIG = "big"


@worker
def plain(sku: int) -> object:
    return sku


@worker(record=True, record_limit_bytes=20)
def recorded(sku: int) -> dict[str, Size | None]:
    return {str(sku): None}


def never() -> float:
    return 0.0


def raised(text: str = "no") -> BaseException:
    """Return an error that was raised in this file, by a caller that seems to be ours."""

    def fail() -> None:
        raise ValueError(text)

    return caught(fail)


def caught(call: Callable[[], object]) -> BaseException:
    names: dict[str, Any] = {"__name__": "headrace.jobs.somewhere", "call": call}
    exec(OUR_CALLER, names)  # noqa: S102 - the only way to stand in a module of that name
    error: BaseException = names["error"]
    return error


OUR_CALLER = compile("try:\n    call()\nexcept Exception as caught:\n    error = caught", "our_caller.py", "exec")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, AttemptCompleted()),
        ({"any": object()}, AttemptCompleted()),
        (Snooze(30), AttemptSnoozed(30)),
        (Cancel("sold out"), AttemptCancelled("sold out")),
        (Discard("hopeless"), AttemptFailed("hopeless", None)),
    ],
)
def test_each_answer_has_its_outcome(answer: object, outcome: object) -> None:
    assert outcome_of_answer(plain, answer) == outcome
    if not isinstance(outcome, AttemptCompleted):
        assert outcome_of_answer(recorded, answer) == outcome


def test_a_result_is_recorded_where_the_worker_says_so() -> None:
    assert outcome_of_answer(recorded, {"7": Size.BIG}) == AttemptCompleted({"recorded": True, "return": {"7": "big"}})
    assert outcome_of_answer(recorded, {}) == AttemptCompleted({"recorded": True, "return": {}})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"7": Size.BIG, "8": Size.BIG}, "takes 24 bytes as JSON, and at most 20 are recorded"),
        ("big", "is 'big', and must be a mapping"),
        (None, "is None, and must be a mapping"),
    ],
)
def test_a_result_that_cannot_be_kept_gives_the_job_up_and_says_so(answer: object, why: str) -> None:
    outcome = outcome_of_answer(recorded, answer)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.retry_seconds is None
    assert outcome.error.startswith(f"the result of worker '{recorded.name}' {why}")


def test_a_failure_is_tried_again_after_the_backoff() -> None:
    outcome = outcome_of_error(plain, a_job(attempt=2), raised(), never)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.retry_seconds == 19
    assert outcome.error.startswith("Traceback (most recent call last):\n")
    assert outcome.error.endswith("\nValueError: no")
    assert not is_discarded(outcome)


def test_the_failure_of_the_last_attempt_gives_the_job_up() -> None:
    outcome = outcome_of_error(plain, a_job(attempt=20), raised(), never)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.retry_seconds is None
    assert is_discarded(outcome)


def test_a_backoff_may_give_the_job_up() -> None:
    hopeless = worker(backoff=lambda *_: Discard("hopeless"))(plain.function)
    outcome = outcome_of_error(hopeless, a_job(), raised(), never)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.retry_seconds is None
    assert outcome.error.endswith("ValueError: no\nand its backoff discarded the job: hopeless")


def test_a_backoff_that_fails_costs_the_job_no_attempt() -> None:
    broken = worker(backoff=lambda *_: 1 // 0)(plain.function)
    outcome = outcome_of_error(broken, a_job(), raised(), never)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.retry_seconds == 17
    assert "ValueError: no\nand then its backoff failed" in outcome.error
    assert "ZeroDivisionError" in outcome.error


def test_an_attempt_that_took_too_long_says_how_long_it_may() -> None:
    outcome = outcome_of_error(plain, a_job(), JobTimeout("shop.build", 5), never)
    assert isinstance(outcome, AttemptFailed)
    assert outcome.error.startswith("JobTimeout: the job took longer than the 5 s that worker 'shop.build' allows")


def test_a_traceback_begins_in_the_users_code() -> None:
    text = error_text(raised())
    assert text.splitlines()[1].endswith("in fail")
    assert "our_caller.py" not in text


def test_a_call_that_the_function_refuses_has_a_traceback_too() -> None:
    anything: Any = plain
    assert "TypeError: " in error_text(caught(lambda: anything(7, too="much")))


@given(text=st.text(alphabet=st.characters(exclude_categories=()), max_size=200), times=st.integers(1, 200))
def test_whatever_is_raised_can_be_written(text: str, times: int) -> None:
    kept = error_text(raised(text * times))
    kept.encode()
    assert len(kept) <= ERROR_LIMIT + 100


def test_of_a_long_error_the_beginning_and_the_end_are_kept() -> None:
    kept = sound("a" * 9000 + "b" * 9000)
    assert kept.startswith("a" * 2000 + "\n… 8000 characters …\n")
    assert kept.endswith("b" * 8000)


def test_an_error_without_words_is_kept_too() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "Silent" in error_text(Silent())


def test_a_job_does_not_begin_after_its_deadline() -> None:
    job = a_job()
    assert outcome_of_expiry(job, NOON) is None
    job.meta["deadline"] = to_text(NOON)
    assert outcome_of_expiry(job, NOON - timedelta(seconds=1)) is None
    outcome = outcome_of_expiry(job, NOON)
    assert outcome == AttemptFailed(
        "the job expired at 2026-11-24 12:00:00 UTC, before a slot was free for it", None, {"expired": True}
    )


@pytest.mark.parametrize(
    "outcome",
    [
        AttemptCompleted({"return": 1}),
        AttemptFailed("no", 5),
        AttemptCancelled("sold out"),
        AttemptSnoozed(5),
        AttemptCompleted(),
    ],
)
def test_what_a_job_noted_down_is_written_however_it_ended(outcome: Any) -> None:
    running = RunningJob(a_job())
    assert with_notes(outcome, running) is outcome
    running.checkpoint(3)
    noted = with_notes(outcome, running)
    assert noted.meta == {"checkpoint": 3, **(outcome.meta or {})}
    assert type(noted) is type(outcome)
