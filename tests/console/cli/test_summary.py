"""The summary of a run, as people and as programs read it."""

import json

import pytest

from headrace.console.cli.output import print_json
from headrace.console.cli.summary import RunSummary, summary_json
from headrace.console.cli.tables import print_summary
from headrace.pipeline.topology.run import RunOutcome
from headrace.telemetry.counts import Family, FamilySpec
from tests.console.cli.snapshots import snapshot, stage

FINE = RunOutcome(is_completed=True, reason=None, events_failed=0, events_lost=0, is_drained=False)
URL = "http://127.0.0.1:9470"


def ending() -> RunSummary:
    euros = Family(FamilySpec("histogram", "shop_euros", "Euros of a purchase.", ("country",), (10,)))
    for country, amount in (("[red]de", 4.0), ("[red]de", 8.5), ("fr", 1.0)):
        euros.observe((country,), amount)
    shot = snapshot(
        stage("visits", "producer", (0, 12000)),
        stage("purchases", "producer_consumer", (12000, 9000), discarded={"filtered": 3000, "error": 0}),
        stage("revenue", "consumer", (9000, 0), families=(euros,)),
        state="completed",
    )
    return RunSummary(FINE, shot, 1.25)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_summary("shop", "shop.yaml", URL, ending())
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_first_line_says_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys)[0] == "shop: all stages have completed, and all events went through (1.2 s)"


def test_a_row_says_what_went_through_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys)
    assert "visits producer 12,000 0.00 s" in found
    assert "purchases producer-consumer 12,000 9,000 filtered 3,000 0.00 s" in found
    assert "revenue consumer 9,000 0.00 s" in found


def test_a_metric_has_a_line_for_each_label_set_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(capsys)
    at = found.index("shop_euros (histogram): Euros of a purchase.")
    assert found[at + 1 : at + 3] == ["country=[red]de 2 x mean 6.25 sum 12.50", "country=fr 1 x mean 1 sum 1"]


def test_the_end_says_where_to_look_next(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(lines(capsys))
    assert "headrace validate shop.yaml" in text
    assert f"{URL}/metrics" in text


def test_without_a_run_there_is_a_status_and_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary("shop", "shop.yaml", None, RunSummary(None, None, 0.0))
    text = capsys.readouterr().out
    assert text.startswith("shop: a signal ended it before it had started")
    assert "received" not in text
    assert "/metrics" not in text


def test_json_has_the_same_numbers_and_every_label_set() -> None:
    document = json.loads(json.dumps(summary_json("shop", "shop.yaml", URL, ending())))
    assert (document["exit_code"], document["pipeline"], document["seconds"]) == (0, "shop", 1.25)
    assert [found["stage"] for found in document["stages"]] == ["visits", "purchases", "revenue"]
    assert document["stages"][1]["discarded"] == {"filtered": 3000, "error": 0}
    assert document["metrics"][0]["samples"][0] == {
        "labels": {"country": "[red]de"},
        "sum": 12.5,
        "count": 2,
        "bounds": [10],
        "counts": [2, 0],
    }


def test_json_writes_numbers_that_it_does_not_have_as_prometheus_does(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"up": float("inf"), "down": [float("-inf")], "none": (float("nan"), 1.5)})
    assert json.loads(capsys.readouterr().out) == {"up": "+Inf", "down": ["-Inf"], "none": ["NaN", 1.5]}
