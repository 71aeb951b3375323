"""An entry of a metric says what it is, or what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.config.files import load_text
from headrace.config.stage_types import StageTypes
from headrace.config.text.findings import ConfigError, Finding
from headrace.stages.sinks.count_metrics import DEFAULT_BUCKETS, MetricEntry
from headrace.telemetry.counts import FamilySpec

CONFIG = """\
stages:
  numbers: {{type: generate}}
  counts:
    type: count_metrics
    subscribe_to: numbers
    metrics:
      - {{counter: other_total}}
      - {entry}
"""


def findings(entry: str) -> list[Finding]:
    with pytest.raises(ConfigError) as caught:
        load_text(CONFIG.format(entry=entry), folder=Path.cwd(), environ={}, catalogue=StageTypes.installed())
    return list(caught.value.findings)


@pytest.mark.parametrize(
    ("entry", "spec"),
    [
        (
            {"counter": "a_total"},
            FamilySpec("counter", "a_total", "A counter of the stage revenue.", has_stage_labels=False),
        ),
        (
            {"gauge": "a", "value": "event.a", "labels": {"y": "event.y", "x": "1"}, "help": "Heat.", "limit": 5},
            FamilySpec("gauge", "a", "Heat.", ("y", "x"), (), 5, has_stage_labels=False),
        ),
        (
            {"histogram": "a", "value": 1, "help": "", "buckets": [1, 2.5]},
            FamilySpec("histogram", "a", "", (), (1.0, 2.5), has_stage_labels=False),
        ),
        (
            {"histogram": "a", "value": 1},
            FamilySpec(
                "histogram", "a", "A histogram of the stage revenue.", (), DEFAULT_BUCKETS, has_stage_labels=False
            ),
        ),
    ],
)
def test_an_entry_declares_its_metric_under_its_name_as_written(entry: Mapping[str, Any], spec: FamilySpec) -> None:
    assert MetricEntry.model_validate(entry).spec("revenue") == spec


@pytest.mark.parametrize(
    ("entry", "code", "column", "said"),
    [
        ("{}", "bad-value", 9, "a metric is one of `counter:`, `gauge:` and `histogram:`, with its name"),
        ("{value: 1}", "bad-value", 9, "a metric is one of `counter:`, `gauge:` and `histogram:`, with its name"),
        ("{counter: a_total, gauge: a}", "bad-value", 9, "a metric is one of"),
        ("{gauge: a}", "bad-value", 17, "a gauge needs `value:`, an expression for the number"),
        ("{histogram: a}", "bad-value", 21, "a histogram needs `value:`"),
        ("{counter: a_total, buckets: [1]}", "bad-value", 28, "only a histogram has buckets"),
        ("{histogram: a, value: 1, buckets: [2, 1]}", "bad-value", 34, "buckets ascend, and none stands twice"),
        ("{histogram: a, value: 1, buckets: [1, 1]}", "bad-value", 34, "buckets ascend, and none stands twice"),
        ("{histogram: a, value: 1, buckets: []}", "bad-value", 34, "at least 1 long"),
        ("{histogram: a, value: 1, buckets: [1, .inf]}", "bad-value", 47, "a finite number"),
        ("{counter: a}", "bad-metric", 19, "a counter's name ends with _total, and is exported so"),
        ("{counter: 9_total}", "bad-metric", 19, "begins with no digit"),
        ("{counter: headrace_total}", "bad-metric", 19, "are for headrace's own metrics"),
        ("{counter: other_total}", "duplicate-metric", 19, "already, in line 7"),
        ("{gauge: other_total, value: 1}", "duplicate-metric", 17, "already, in line 7"),
        ("{counter: a_total, labels: {le: '1'}}", "bad-metric", 37, "Prometheus reserves"),
        ("{counter: a_total, labels: {x: event.}}", "bad-expression", 45, "ends too early"),
        ("{counter: a_total, value: event.}", "bad-expression", 40, "ends too early"),
        ("{counter: a_total, limit: 0}", "bad-value", 35, "1 or more"),
        ("{count: a_total}", "unknown-key", 10, "has no key `count`"),
    ],
)
def test_an_entry_that_makes_no_sense_is_a_finding_at_its_place(entry: str, code: str, column: int, said: str) -> None:
    found = findings(entry)
    assert [(one.code, one.line) for one in found] == [(code, 8)]
    assert said in found[0].message
    assert found[0].column == column


def test_a_counters_full_name_is_suggested() -> None:
    (found,) = findings("{counter: shop}")
    assert found.suggestion == "shop_total"


def test_a_list_of_metrics_is_needed() -> None:
    with pytest.raises(ValidationError):
        MetricEntry.model_validate({"counter": "a_total", "labels": "x"})
