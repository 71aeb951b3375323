"""What is said about the end of a run, and its exit code."""

from dataclasses import replace

import pytest

from headrace.console.cli.streams import ExitCode
from headrace.console.cli.summary import RunSummary
from headrace.errors import StartFailed
from headrace.pipeline.topology.run import RunOutcome
from headrace.pipeline.topology.snapshot import StageSnapshot
from headrace.telemetry.counts import Family, FamilySpec
from tests.console.cli.snapshots import snapshot, stage


def outcome(
    reason: BaseException | None = None,
    events: tuple[int, int] = (0, 0),
    *,
    is_completed: bool = True,
    is_drained: bool = False,
    kept: int = 0,
) -> RunOutcome:
    return RunOutcome(is_completed, reason, *events, is_drained, kept)


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (outcome(), "all stages have completed, and all events went through"),
        (outcome(is_drained=True), "drained: all that was taken in went through"),
        (outcome(is_drained=True, is_completed=False), "drained: all that was taken in went through"),
        (None, "a signal ended it before it had started"),
    ],
)
def test_an_end_without_trouble_is_0(ended: RunOutcome | None, status: str) -> None:
    ending = RunSummary(ended, None, 1.0)
    assert (ending.exit_code, ending.status(), ending.errors()) == (ExitCode.FINE, status, [])


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (outcome(ValueError("no price"), is_completed=False), "ValueError: no price"),
        (outcome(events=(1, 0)), "1 event failed, and went no further"),
        (outcome(events=(0, 2000)), "2,000 events got lost on the way"),
        (outcome(events=(1, 2)), "1 event failed, and went no further; 2 events got lost on the way"),
        (replace(outcome(), input_lost={"files": 1, "bytes": 2000}), "1 file and 2,000 bytes got lost unread"),
        (outcome(events=(0, 1), kept=1), "1 event did not go through, and waits in the dead letters"),
        (
            outcome(events=(0, 5), kept=3),
            "2 events got lost on the way; 3 events did not go through, and wait in the dead letters",
        ),
        (outcome(is_completed=False), "not all that was taken in went through"),
    ],
)
def test_an_end_with_trouble_is_1_and_says_which(ended: RunOutcome, status: str) -> None:
    ending = RunSummary(ended, None, 1.0)
    assert (ending.exit_code, ending.status()) == (ExitCode.FAILED, status)


def test_a_second_signal_is_a_trouble_of_its_own() -> None:
    ending = RunSummary(outcome(is_drained=True), None, 1.0, is_cut_short=True)
    assert ending.exit_code is ExitCode.FAILED
    assert ending.status() == "a second signal ended it before it was drained"


def test_what_could_not_start_says_why() -> None:
    ending = RunSummary(None, None, 1.0, StartFailed("orders", FileNotFoundError(2, "No such file", "orders.db")))
    assert ending.exit_code is ExitCode.FAILED
    assert ending.status() == "'orders' could not start: [Errno 2] No such file: 'orders.db'"


def refusing(count: int) -> Family:
    family = Family(FamilySpec("counter", "till_sold_total", "Sold.", ("sku",), limit=1))
    for number in range(count + 1):
        family.add((str(number),))
    return family


OVERFLOW = "till_sold_total reached its limit of 1 label set, so that 3 samples were counted as other"


@pytest.mark.parametrize(
    ("stages", "status"),
    [
        ([stage("lines", "producer", discarded={"invalid": 1})], "1 event was left out as invalid"),
        (
            [stage("a", "producer", discarded={"invalid": 1}), stage("b", "producer", discarded={"invalid": 1500})],
            "1,501 events were left out as invalid",
        ),
        (
            [stage("till", "consumer", families=(refusing(1),))],
            "till_sold_total reached its limit of 1 label set, so that 1 sample was counted as other",
        ),
        (
            [stage("till", "consumer", discarded={"late": 2}, families=(refusing(3),))],
            "2 events were left out as late and " + OVERFLOW,
        ),
    ],
)
def test_what_was_left_out_on_purpose_is_said_and_is_no_trouble(stages: list[StageSnapshot], status: str) -> None:
    taken = snapshot(*stages)
    completed, drained = RunSummary(outcome(), taken, 1.0), RunSummary(outcome(is_drained=True), taken, 1.0)
    assert (completed.exit_code, completed.status()) == (ExitCode.FINE, f"all stages have completed, but {status}")
    assert (drained.exit_code, drained.status()) == (ExitCode.FINE, f"drained, but {status}")


def test_what_a_filter_drops_and_what_counts_as_lost_is_not_said_again() -> None:
    reasons = {"filtered": 5, "overflow": 1, "error": 1, "crash": 1, "cancelled": 1, "invalid": 0}
    ending = RunSummary(outcome(), snapshot(stage("paid", "producer_consumer", discarded=reasons)), 1.0)
    assert ending.status() == "all stages have completed, and all events went through"


def test_a_trouble_does_not_hide_what_was_left_out() -> None:
    ending = RunSummary(outcome(events=(1, 0)), snapshot(stage("lines", "producer", discarded={"invalid": 2})), 1.0)
    assert ending.status() == "1 event failed, and went no further; 2 events were left out as invalid"
