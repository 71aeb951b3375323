import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.errors import BadAnswer
from headrace.jobs.job import LONGEST_SECONDS, Discard, Job, Snooze
from headrace.jobs.rules.retry import oban_seconds, retry_seconds, sidekiq_seconds
from tests.fakes.job_records import a_job

ATTEMPTS = st.integers(1, 10_000)
RANDOM = st.floats(0, 1, exclude_max=True)
ERROR = ValueError("no")


def never() -> float:
    return 0.0


def almost() -> float:
    return 0.999_999


@pytest.mark.parametrize(
    ("attempt", "max_attempts", "shortest", "longest"),
    [
        (1, 20, 17, 18),
        (2, 20, 19, 20),
        (10, 20, 1039, 1142),
        (20, 20, 1_048_591, 1_153_449),
        (20, 40, 1039, 1142),
        (1, 80, 16, 17),
        (2, 80, 17, 18),
        (80, 80, 1_048_591, 1_153_449),
    ],
)
def test_obans_backoff_is_the_one_that_oban_has(attempt: int, max_attempts: int, shortest: int, longest: int) -> None:
    assert oban_seconds(attempt, max_attempts, never) == shortest
    assert oban_seconds(attempt, max_attempts, almost) == longest


@pytest.mark.parametrize(
    ("attempt", "shortest", "longest"), [(1, 15, 24), (2, 16, 35), (3, 31, 60), (25, 331791, 332040)]
)
def test_sidekiqs_backoff_is_the_one_that_sidekiq_has(attempt: int, shortest: int, longest: int) -> None:
    assert sidekiq_seconds(attempt, never) == shortest
    assert sidekiq_seconds(attempt, almost) == longest


@given(attempt=ATTEMPTS, max_attempts=ATTEMPTS, number=RANDOM)
def test_obans_backoff_stays_within_its_bounds(attempt: int, max_attempts: int, number: float) -> None:
    seconds = oban_seconds(attempt, max_attempts, lambda: number)
    assert 16 <= seconds <= (15 + 2**20) * 1.1
    assert seconds >= oban_seconds(max(1, attempt - 1), max_attempts, never)


@given(attempt=ATTEMPTS, number=RANDOM)
def test_sidekiqs_backoff_grows_by_its_formula_and_a_bounded_jitter(attempt: int, number: float) -> None:
    jitter = sidekiq_seconds(attempt, lambda: number) - (attempt - 1) ** 4 - 15
    assert 0 <= jitter < 10 * attempt


@given(attempt=ATTEMPTS, number=RANDOM, answer=st.floats(0, None))
def test_no_wait_is_so_long_that_a_date_overflows(attempt: int, number: float, answer: float) -> None:
    job = a_job(attempt=attempt, max_attempts=attempt + 1)
    for backoff in ("sidekiq", lambda *_: answer):
        seconds = retry_seconds(backoff, job, ERROR, lambda: number)
        assert isinstance(seconds, int | float)
        assert 0 <= seconds <= LONGEST_SECONDS


def test_a_number_is_waited_for_each_time() -> None:
    assert [retry_seconds(2.5, a_job(attempt=attempt), ERROR, almost) for attempt in (1, 9)] == [2.5, 2.5]


def test_a_function_sees_the_attempt_the_error_and_the_job() -> None:
    seen: list[object] = []

    def backoff(attempt: int, error: BaseException, job: Job) -> float:
        seen.extend((attempt, error, job))
        return 4

    job = a_job(attempt=3)
    assert retry_seconds(backoff, job, ERROR, never) == 4
    assert seen == [3, ERROR, job]


def test_a_function_may_give_the_job_up_or_leave_it_to_oban() -> None:
    assert retry_seconds(lambda *_: Discard("hopeless"), a_job(), ERROR, never) == Discard("hopeless")
    assert retry_seconds(lambda *_: None, a_job(), ERROR, never) == 17


@pytest.mark.parametrize("answer", [-1, float("nan"), "5", True])
def test_a_function_that_returns_something_else_is_told_what_it_may_return(answer: float) -> None:
    with pytest.raises(BadAnswer, match=r"backoff of worker 'shop\.build' returned .* must return seconds, Discard"):
        retry_seconds(lambda *_: answer, a_job(), ERROR, never)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e12])
def test_a_snooze_that_is_no_time_is_refused_where_it_is_made(seconds: float) -> None:
    with pytest.raises(BadAnswer, match="no time to wait for"):
        Snooze(seconds)
