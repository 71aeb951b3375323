"""Metrics in a few rows."""

import math

from hypothesis import given
from hypothesis import strategies as st

from headrace.console.cli.summary import ROWS, MetricRow, metric_rows
from headrace.telemetry.counts import Family, FamilySpec, MetricKind

AMOUNTS = st.dictionaries(st.text(), st.integers(0, 10**6), max_size=40)


def family(kind: MetricKind, amounts: dict[str, int]) -> Family:
    made = Family(FamilySpec(kind, "shop", "Things.", ("key",), (10, 100)))
    for key, amount in amounts.items():
        if kind == "counter":
            made.add((key,), amount)
        elif kind == "gauge":
            made.set((key,), amount)
        else:
            made.observe((key,), amount)
    return made


@given(AMOUNTS, st.integers(2, 15))
def test_no_more_rows_than_fit_and_nothing_of_a_counter_is_lost(amounts: dict[str, int], limit: int) -> None:
    rows = metric_rows(family("counter", amounts), limit).rows
    assert len(rows) <= limit
    assert sum(row.value or 0 for row in rows) == sum(amounts.values())


@given(AMOUNTS, st.integers(2, 15))
def test_no_observation_of_a_histogram_is_lost(amounts: dict[str, int], limit: int) -> None:
    rows = metric_rows(family("histogram", amounts), limit).rows
    assert len(rows) <= limit
    assert sum(row.count or 0 for row in rows) == len(amounts)
    assert math.isclose(sum(row.value or 0 for row in rows), sum(amounts.values()))


@given(AMOUNTS)
def test_the_largest_come_first_and_whole(amounts: dict[str, int]) -> None:
    rows = metric_rows(family("counter", amounts)).rows
    whole = rows if len(amounts) <= ROWS else rows[:-1]
    assert [row.value for row in whole] == sorted(amounts.values(), reverse=True)[: len(whole)]
    assert {row.label for row in whole} <= {f"key={key}" for key in amounts}


def test_what_a_gauge_leaves_out_has_no_sum() -> None:
    rows = metric_rows(family("gauge", {str(key): key for key in range(5)}), 3).rows
    assert rows == (MetricRow("key=4", 4), MetricRow("key=3", 3), MetricRow("3 more", None))


def test_a_metric_without_labels_is_one_row() -> None:
    made = Family(FamilySpec("counter", "shop_total", "Things."))
    made.add((), 7)
    assert metric_rows(made).rows == (MetricRow("", 7),)
