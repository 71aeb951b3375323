"""What is said about the end of a run, and its exit code."""

import pytest

from headrace.console.cli.ending import Ending
from headrace.console.cli.exit_code import ExitCode
from headrace.ground.errors import StartFailed
from headrace.pipeline.topology.outcome import RunOutcome


def outcome(
    reason: BaseException | None = None,
    events: tuple[int, int] = (0, 0),
    *,
    is_completed: bool = True,
    is_drained: bool = False,
) -> RunOutcome:
    return RunOutcome(is_completed, reason, *events, is_drained)


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        (outcome(), "all stages have completed, and all events went through"),
        (outcome(is_drained=True), "drained: all that was taken in went through"),
        (outcome(is_drained=True, is_completed=False), "drained: all that was taken in went through"),
        (None, "a signal ended it before it had started"),
    ],
)
def test_an_end_without_trouble_is_0(ended: RunOutcome | None, verdict: str) -> None:
    ending = Ending(ended, None, 1.0)
    assert (ending.exit_code, ending.verdict(), ending.troubles()) == (ExitCode.FINE, verdict, [])


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        (outcome(ValueError("no price"), is_completed=False), "ValueError: no price"),
        (outcome(events=(1, 0)), "1 event failed, and went no further"),
        (outcome(events=(0, 2000)), "2,000 events got lost on the way"),
        (outcome(events=(1, 2)), "1 event failed, and went no further; 2 events got lost on the way"),
        (outcome(is_completed=False), "not all that was taken in went through"),
    ],
)
def test_an_end_with_trouble_is_1_and_says_which(ended: RunOutcome, verdict: str) -> None:
    ending = Ending(ended, None, 1.0)
    assert (ending.exit_code, ending.verdict()) == (ExitCode.FAILED, verdict)


def test_a_second_signal_is_a_trouble_of_its_own() -> None:
    ending = Ending(outcome(is_drained=True), None, 1.0, is_cut_short=True)
    assert ending.exit_code is ExitCode.FAILED
    assert ending.verdict() == "a second signal ended it before it was drained"


def test_what_could_not_start_says_why() -> None:
    ending = Ending(None, None, 1.0, StartFailed("orders", FileNotFoundError(2, "No such file", "orders.db")))
    assert ending.exit_code is ExitCode.FAILED
    assert ending.verdict() == "'orders' could not start: [Errno 2] No such file: 'orders.db'"
