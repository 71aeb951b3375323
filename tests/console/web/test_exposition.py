"""Which text a scrape gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.console.web.metrics_endpoint import prefers_openmetrics

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;"
    "q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2,
        PROMETHEUS_3,
        "application/openmetrics-text",
        "text/plain;q=0.1, Application/OpenMetrics-Text ; q=0.2",
    ],
)
def test_openmetrics_is_for_whoever_ranks_it_first(accept: str) -> None:
    assert prefers_openmetrics(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "text/plain;version=0.0.4",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.1,text/plain;q=0.2",
        "application/openmetrics-text;q=high",
    ],
)
def test_the_older_text_is_for_everybody_else(accept: str) -> None:
    assert not prefers_openmetrics(accept)


@given(st.text())
def test_any_accept_header_gets_one_of_the_two(accept: str) -> None:
    assert prefers_openmetrics(accept) in (True, False)
