"""Metric names that two stages claim."""

from pathlib import Path

import pytest

from headrace.config.files import load_files, load_text
from headrace.config.text.findings import ConfigError
from tests.config.configs import config_of, findings_of
from tests.fakes.config_stages import catalogue

TWO = """\
stages:
  t: {{type: tick}}
  one: {{type: tally, subscribe_to: t, metrics: [{{{first}}}]}}
  two:
    type: tally
    subscribe_to: t
    metrics:
      - {{counter: other}}
      - {{{second}}}
"""

CUSTOM = """\
stages:
  t: {{type: tick}}
  one:
    type: tests.fakes.console_stages:Measured
    subscribe_to: t
  two: {{type: tests.fakes.console_stages:Measured, subscribe_to: t}}
  three: {{type: tally, subscribe_to: t, metrics: [{{{metric}}}]}}
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("counter: shop_total", "counter: shop_total"),
        ("counter: shop", "counter: shop_total"),
        ("histogram: shop, value: 1", "counter: shop"),
        ("histogram: shop, value: 1", "histogram: shop_count, value: 1"),
        ("counter: shop_bucket", "histogram: shop, value: 1"),
        ("gauge: shop, value: 1", "gauge: shop, value: 1"),
        ("gauge: shop_total, value: 1", "counter: shop"),
    ],
)
def test_two_metrics_that_would_share_a_name_are_a_finding(first: str, second: str) -> None:
    (found,) = findings_of(TWO.format(first=first, second=second))
    assert (found.code, found.line) == ("duplicate-metric", 9)
    assert found.column == 10 + second.index(":") + 2
    assert "the stage one exports" in found.message
    assert "line 3" in found.message


def test_metrics_of_different_names_are_fine() -> None:
    config = config_of(TWO.format(first="counter: shop_total", second="histogram: shop_euros, value: 1"))
    assert [(metric.kind, metric.name, metric.stage) for metric in config.exports] == [
        ("counter", "shop_total", "one"),
        ("counter", "other", "two"),
        ("histogram", "shop_euros", "two"),
    ]


def test_two_files_that_export_one_metric_are_a_finding_in_the_second(tmp_path: Path) -> None:
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for path in paths:
        path.write_text(
            "listen: off\n"
            "stages: {t: {type: tick}, c: {type: tally, subscribe_to: t, metrics: [{counter: shop_total}]}}"
        )
    with pytest.raises(ConfigError) as caught:
        load_files(paths, environ={}, imports=False, catalogue=catalogue())
    (found,) = caught.value.findings
    assert (found.code, found.file, found.line, found.column) == ("duplicate-metric", str(paths[1]), 2, 81)
    assert f"in {paths[0]}, line 2" in found.message


@pytest.mark.parametrize(
    "metric",
    ["counter: process_cpu_seconds_total", "gauge: python_info, value: 1", "counter: process_open_fds_total"],
)
def test_a_metric_that_needs_a_name_of_headraces_own_is_a_finding(metric: str) -> None:
    (found,) = findings_of(TWO.format(first="counter: shop", second=metric))
    assert (found.code, found.line) == ("duplicate-metric", 9)
    assert "headrace itself exports a metric that needs the name" in found.message


def test_a_metric_that_a_custom_stage_declares_under_the_same_name_is_a_finding() -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(CUSTOM.format(metric="gauge: height, value: 1"), environ={}, catalogue=catalogue())
    (found,) = caught.value.findings
    assert (found.code, found.line) == ("duplicate-metric", 7)
    assert "the stage one exports this metric already, in line 4" in found.message


def test_two_custom_stages_of_one_class_may_export_its_metrics() -> None:
    config = load_text(CUSTOM.format(metric="gauge: width, value: 1"), environ={}, catalogue=catalogue())
    assert [metric.name for metric in config.exports] == ["height", "height", "width"]
