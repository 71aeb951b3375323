"""Writes a pipeline's metrics as text, in the format that the client accepts."""

import asyncio
import gzip
import platform
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from headrace import __version__
from headrace.dead_letters.metrics import DEAD_LETTER_METRICS
from headrace.dead_letters.store import DeadLetterCounts
from headrace.jobs.metrics import JobsProbe, JobsSnapshot
from headrace.pipeline.metrics import MeasuredRun, pipeline_families
from headrace.pipeline.topology.snapshot import TopologySnapshot
from headrace.telemetry.prometheus import collect

OPENMETRICS: Final = "application/openmetrics-text"
TEXT: Final = "text/plain"

_BUILD: Final = {"version": __version__, "python": platform.python_version()}

UNITS: Final = ("seconds", "bytes")
"""Units that OpenMetrics names on a line of their own."""

GZIP_LEVEL: Final = 1
"""The fastest level: metrics are repetitive, and still shrink to about a tenth."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """The text of a scrape, with its content type and encoding."""

    content_type: str
    body: bytes
    content_encoding: str | None = None


@dataclass(frozen=True, slots=True)
class _Scrape:
    """The values of one scrape; None where the run has no such part."""

    snapshot: TopologySnapshot | None = None
    jobs: JobsSnapshot | None = None
    dead_letters: DeadLetterCounts | None = None
    stores: Mapping[str, bool] = field(default_factory=dict)


class _Collector:
    """Yields the metrics of the last scrape to a registry."""

    def __init__(self) -> None:
        self.taken = _Scrape()
        self._process = ProcessCollector(registry=None)
        self._platform = PlatformCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, each with the unit that its name ends with."""
        for metric in self._metrics():
            metric.unit = next((unit for unit in UNITS if metric.name.endswith(f"_{unit}")), "")
            yield metric

    def _metrics(self) -> Iterator[Metric]:
        taken = self.taken
        yield InfoMetricFamily("headrace_build", "The version of headrace, and of the Python that runs it.", _BUILD)
        yield from self._process.collect()
        yield from self._platform.collect()
        if taken.snapshot is not None:
            yield from collect(pipeline_families(MeasuredRun(taken.snapshot, taken.stores)))
        if taken.jobs is not None:
            yield from collect(taken.jobs.all_families())
        if taken.dead_letters is not None:
            yield from collect(metric.family(taken.dead_letters) for metric in DEAD_LETTER_METRICS)


class MetricsExporter:
    """One pipeline's registry, and the one thread that writes texts, one scrape after another."""

    def __init__(
        self,
        take: Callable[[], TopologySnapshot | None],
        probe: JobsProbe | None = None,
        dead_letters: Callable[[], DeadLetterCounts | None] = lambda: None,
        stores: Callable[[], Awaitable[Mapping[str, bool]]] | None = None,
    ) -> None:
        """`take` returns a snapshot, or None before the start; `stores` returns whether each own store can be used."""
        self._stores = stores
        self._dead_letters = dead_letters
        self._take = take
        self._probe = probe
        self._collector = _Collector()
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        self._thread = ThreadPoolExecutor(1, "headrace-metrics")

    async def scrape(self, accept: str, accept_encoding: str = "") -> Exposition:
        """Return the metrics as they are now, for two headers of a request. The loop only copies numbers."""
        jobs = None if self._probe is None else await self._probe.take()
        stores = {} if self._stores is None else await self._stores()
        loop = asyncio.get_running_loop()
        taken = _Scrape(self._take(), jobs, self._dead_letters(), stores)
        return await loop.run_in_executor(self._thread, self._write, taken, accept, accept_encoding)

    def close(self) -> None:
        """End the thread after the scrape that it writes."""
        self._thread.shutdown()

    def _write(self, taken: _Scrape, accept: str, accept_encoding: str) -> Exposition:
        self._collector.taken = taken
        if prefers_openmetrics(accept):
            content_type = openmetrics.CONTENT_TYPE_LATEST
            text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call] # its own lack
        else:
            content_type, text = CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)
        if accepts_gzip(accept_encoding):
            return Exposition(content_type, gzip.compress(text, GZIP_LEVEL), "gzip")
        return Exposition(content_type, text)


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header names gzip.

    >>> accepts_gzip("gzip"), accepts_gzip("br, gzip;q=0.5"), accepts_gzip("gzip;q=0"), accepts_gzip("")
    (True, True, False, False)
    """
    for offer in accept_encoding.split(","):
        kind, *parameters = (part.strip().lower() for part in offer.split(";"))
        if kind == "gzip":
            return _rank(parameters) > 0
    return False


def prefers_openmetrics(accept: str) -> bool:
    """Whether an Accept header ranks OpenMetrics 1.0 above the older text format, which is the default.

    >>> prefers_openmetrics("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    True
    >>> prefers_openmetrics("text/plain, application/openmetrics-text;q=0.5")
    False
    >>> prefers_openmetrics("*/*")
    False
    """
    ranks = {OPENMETRICS: 0.0, TEXT: 0.0}
    for offer in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in offer.split(";"))
        if kind in ranks:
            ranks[kind] = max(ranks[kind], _rank(parameters))
    return ranks[OPENMETRICS] > 0 and ranks[OPENMETRICS] >= ranks[TEXT]


def _rank(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
