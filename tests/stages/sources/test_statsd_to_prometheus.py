"""What a StatsD client of anybody's sends is read back from /metrics by Prometheus' own parser."""

import re
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families
from statsd import StatsClient

from headrace.config.pipeline import Pipeline
from tests.console.web.serving import served
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

CONFIG = """\
name: stats
stages:
  statsd: {type: receive_statsd, listen: "127.0.0.1:0"}
  counters: {type: filter, subscribe_to: statsd, where: event.type == "c"}
  gauges: {type: filter, subscribe_to: statsd, where: event.type == "g"}
  timers: {type: filter, subscribe_to: statsd, where: event.type == "ms"}
  sets: {type: filter, subscribe_to: statsd, where: event.type == "s"}
  count_counters:
    type: count_metrics
    subscribe_to: counters
    metrics: [{counter: statsd_total, labels: {name: event.name}, value: event.value}]
  count_gauges:
    type: count_metrics
    subscribe_to: gauges
    metrics: [{gauge: statsd_value, labels: {name: event.name}, value: event.value}]
  count_timers:
    type: count_metrics
    subscribe_to: timers
    metrics:
      - {histogram: statsd_seconds, labels: {name: event.name}, value: event.value / 1000, buckets: [0.1, 1]}
  count_sets:
    type: count_metrics
    subscribe_to: sets
    metrics: [{counter: statsd_members_total, labels: {name: event.name, member: event.value}}]
"""


def samples(text: str) -> Mapping[tuple[str, ...], float]:
    """Return what a scrape says of the users' metrics, by name and label values, in the order of the labels' names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("statsd_") and not sample.name.endswith("_created")
    }


async def test_a_real_client_is_read_back_from_metrics(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline.from_text(CONFIG)
    with caplog.at_level("INFO"):
        await pipeline.start()
    port = re.search(r"listens for StatsD on 127\.0\.0\.1:([0-9]+)", caplog.text)
    assert port is not None
    client = StatsClient("127.0.0.1", int(port[1]), prefix="shop")
    async with served(pipeline) as asked:
        for _ in range(3):
            client.incr("visits")
        client.decr("visits", -2)
        client.gauge("stock", 10)
        client.gauge("stock", -3, delta=True)
        client.timing("render", 320)
        client.timing("render", 20)
        client.set("visitors", "ann")
        with client.pipeline() as together:
            together.incr("sales", 5)
            together.gauge("heat", -4)
        client.close()
        await until(lambda: pipeline.snapshot().stages[0].events_sent == 12)
        await pipeline.drain()
        text = (await asked.get("/metrics")).text
    assert samples(text) == {
        ("statsd_total", "shop.visits"): 5,
        ("statsd_total", "shop.sales"): 5,
        ("statsd_value", "shop.stock"): 7,
        ("statsd_value", "shop.heat"): -4,
        ("statsd_seconds_bucket", "0.1", "shop.render"): 1,
        ("statsd_seconds_bucket", "1.0", "shop.render"): 2,
        ("statsd_seconds_bucket", "+Inf", "shop.render"): 2,
        ("statsd_seconds_count", "shop.render"): 2,
        ("statsd_seconds_sum", "shop.render"): pytest.approx(0.34),
        ("statsd_members_total", "ann", "shop.visitors"): 1,
    }
    assert pipeline.outcome().is_fine


async def test_a_sampled_counter_comes_to_what_was_counted(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline.from_text(CONFIG)
    with caplog.at_level("INFO"):
        await pipeline.start()
    port = re.search(r"listens for StatsD on 127\.0\.0\.1:([0-9]+)", caplog.text)
    assert port is not None
    client = StatsClient("127.0.0.1", int(port[1]))
    for _ in range(400):
        client.incr("visits", rate=0.5)
    client.incr("visits", rate=1)
    client.close()
    async with served(pipeline) as asked:
        await pipeline.drain()
        text = (await asked.get("/metrics")).text
    received = pipeline.snapshot().stages[0].events_sent
    assert 100 < received < 300
    assert samples(text) == {("statsd_total", "visits"): (received - 1) * 2 + 1}
