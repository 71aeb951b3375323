"""Progress on stderr."""

import logging

import pytest

from headrace.console.cli.session import RateEstimate, in_lines, progress_text
from tests.console.cli.snapshots import snapshot, stage


def test_progress_names_every_stage_and_the_rate() -> None:
    shot = snapshot(stage("visits", "producer", (0, 12000)), stage("revenue", "consumer", (9100, 0)))
    assert progress_text(shot, 25300.4) == "shop running: visits 12,000, revenue 9,100 (25,300 events/s)"


def test_the_rate_is_of_what_producers_have_sent_since_the_last_reading() -> None:
    times = iter([10.0, 12.0, 12.5, 12.5])
    meter = RateEstimate(lambda: next(times))
    shots = [snapshot(stage("a", "producer", (0, sent)), stage("b", "consumer", (sent, 0))) for sent in (100, 150, 150)]
    assert [meter.read(shot) for shot in shots] == [50.0, 100.0, 0.0]


def test_without_a_terminal_a_line_is_written_when_something_has_happened(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter(range(10))
    with in_lines(lambda: float(next(times))) as progress:
        for sent in (1, 1, 2):
            progress.show(snapshot(stage("a", "producer", (0, sent))))
        progress.show(snapshot(stage("a", "producer", (0, 2)), state="completed"))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "shop running: a 1 (1 events/s)",
        "shop running: a 2 (1 events/s)",
        "shop completed: a 2 (0 events/s)",
    ]


def test_without_a_terminal_log_lines_stand_between_those_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with in_lines(lambda: 0.0) as progress:
        progress.show(snapshot(stage("a", "producer", (0, 1))))
        progress.handler.emit(logging.makeLogRecord({"msg": "listening"}))
        progress.show(snapshot(stage("a", "producer", (0, 2))))
    assert [line.split(" (")[0] for line in capsys.readouterr().err.splitlines()] == [
        "shop running: a 1",
        "listening",
        "shop running: a 2",
    ]
