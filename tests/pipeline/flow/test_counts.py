"""What a stage counts: every reason from the start, errors by class within a bound, and each said once."""

import pytest

from headrace.pipeline.flow.counts import ERROR_TYPES_LIMIT, StageCounts


def test_known_reasons_are_counted_from_nothing_and_others_from_their_first() -> None:
    counts = StageCounts("stage", ("odd",))
    assert counts.discarded == {"odd": 0, "overflow": 0, "error": 0, "crash": 0, "cancelled": 0}
    counts.discard(0, "unseen")
    counts.discard(2, "odd")
    counts.discard(1, "late")
    assert counts.discarded == {"odd": 2, "overflow": 0, "error": 0, "crash": 0, "cancelled": 0, "late": 1}


def test_errors_of_too_many_classes_are_counted_together() -> None:
    counts = StageCounts("stage")
    for number in range(ERROR_TYPES_LIMIT + 5):
        counts.error(type(f"Error{number}", (Exception,), {})())
    counts.error(type("Error0", (Exception,), {})())
    assert len(counts.errors) == ERROR_TYPES_LIMIT + 1
    assert (counts.errors["Error0"], counts.errors["other"]) == (2, 5)


def test_events_that_fail_alike_are_said_once_and_all_counted(caplog: pytest.LogCaptureFixture) -> None:
    counts = StageCounts("stage")
    for error in (KeyError("a"), KeyError("b"), ValueError("c")):
        counts.fail(error, 2)
    assert (counts.failed, counts.discarded["error"]) == (6, 6)
    assert counts.errors == {"KeyError": 2, "ValueError": 1}
    assert len(caplog.records) == 2


def test_an_overflow_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    counts = StageCounts("stage")
    counts.discard(3, "overflow")
    counts.discard(4, "overflow")
    assert counts.discarded["overflow"] == 7
    assert len(caplog.records) == 1
    assert "stage 'stage' discards events: its buffer is full" in caplog.text
