"""The metrics that the stages of a config export, and the names that two of them claim."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from headrace.config.findings import Fault, Finding
from headrace.config.marked import marked
from headrace.config.nodes import Found
from headrace.config.places import locate
from headrace.config.source import Source
from headrace.stages.options import MetricName

_HISTOGRAM_SAMPLES = ("_bucket", "_sum", "_count", "_created")


@dataclass(frozen=True, slots=True)
class Export:
    """One metric: its name, the stage that exports it, and where its file says so."""

    name: str
    kind: str
    stage: str
    source: Source
    found: Found

    def claims(self) -> frozenset[str]:
        """Return every name that stands in the exposition because of it; no two metrics may share one."""
        if self.kind == "counter":
            base = self.name.removesuffix("_total")
            return frozenset({base, f"{base}_total", f"{base}_created"})
        if self.kind == "histogram":
            return frozenset({self.name, *(self.name + suffix for suffix in _HISTOGRAM_SAMPLES)})
        return frozenset({self.name})


def exports(stage: str, options: BaseModel, found: Found, source: Source) -> list[Export]:
    """Return the metrics that a stage's options name, wherever they do; the key that holds a name is its kind."""
    result = []
    for path, name in marked(options, MetricName):
        place = locate(found, path).found
        result.append(Export(str(name), str(path[-1]) if path else "", stage, source, place))
    return result


def duplicates(metrics: Iterable[Export]) -> Iterator[Finding]:
    """Yield a finding for every metric that claims a name which one before it has claimed, in any of the files."""
    claimed: dict[str, Export] = {}
    for metric in metrics:
        claims = metric.claims()
        first = next((claimed[name] for name in sorted(claims) if name in claimed), None)
        if first is not None:
            yield _duplicate(metric, first)
        for name in claims:
            claimed.setdefault(name, metric)


def _duplicate(metric: Export, first: Export) -> Finding:
    span = metric.found.node.span
    written = metric.source.written(span)
    line, _ = first.source.place(first.found.node.span)
    where = f"{first.source.file}, line {line}" if first.source.file != metric.source.file else f"line {line}"
    if first.name == metric.name:
        said = f"the stage {first.stage} exports this metric already, in {where}"
    else:
        other = first.source.written(first.found.node.span)
        said = f"the stage {first.stage} exports {other}, in {where}, and the two need a name in common"
    message = f"{said}: give each metric a name of its own"
    return metric.source.finding(span, Fault("duplicate-metric", message, written))
