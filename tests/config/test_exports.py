"""Metric names that two stages claim."""

from pathlib import Path

import pytest

from headrace.config.files import load_files
from headrace.config.findings import ConfigError
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
            "stages: {t: {type: tick}, c: {type: tally, subscribe_to: t, metrics: [{counter: shop_total}]}}"
        )
    with pytest.raises(ConfigError) as caught:
        load_files(paths, environ={}, imports=False, catalogue=catalogue())
    (found,) = caught.value.findings
    assert (found.code, found.file, found.line, found.column) == ("duplicate-metric", str(paths[1]), 1, 81)
    assert f"in {paths[0]}, line 1" in found.message
