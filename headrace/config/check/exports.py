"""The metrics that the stages of a config export, and the names that two of them claim."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from headrace.config.check.marked import marked
from headrace.config.check.places import locate
from headrace.config.text.findings import Fault, Finding, Source
from headrace.config.text.tree import Found
from headrace.stages.options import MetricName
from headrace.telemetry.counts import FamilySpec, exported_names, is_reserved


@dataclass(frozen=True, slots=True)
class Export:
    """One metric: its name, the stage that exports it, and where its file says so."""

    name: str
    kind: str
    stage: str
    source: Source
    found: Found

    is_shared: bool = False
    """Whether its series carry the labels of the stage, so that several stages may export it."""

    def claims(self) -> frozenset[str]:
        """Return every name that stands in the exposition because of it; no two metrics may share one."""
        return exported_names(self.kind, self.name)

    def may_join(self, other: "Export") -> bool:
        """Tell whether this is the same metric, of another stage: its series carry the labels of their stages."""
        return self.is_shared and other.is_shared and (self.name, self.kind) == (other.name, other.kind)


def exports(
    stage: str, options: BaseModel, families: Iterable[FamilySpec], found: Found, source: Source
) -> list[Export]:
    """Return the metrics that a stage's options name, wherever they do, and `families`, which its class lists.

    The key that holds a name in the options is its kind.
    """
    result = []
    for path, name in marked(options, MetricName):
        place = locate(found, path).found
        result.append(Export(str(name), str(path[-1]) if path else "", stage, source, place))
    place = locate(found, ("type",)).found
    result += [Export(spec.name, spec.kind, stage, source, place, spec.has_stage_labels) for spec in families]
    return result


def duplicates(metrics: Iterable[Export]) -> Iterator[Finding]:
    """Yield a finding for every metric that claims a name which one before it has claimed, in any of the files."""
    claimed: dict[str, Export] = {}
    for metric in metrics:
        claims = metric.claims()
        if is_reserved(claims):
            yield _reserved(metric)
        first = next((claimed[name] for name in sorted(claims) if name in claimed), None)
        if first is not None and not metric.may_join(first):
            yield _duplicate(metric, first)
        for name in claims:
            claimed.setdefault(name, metric)


def _reserved(metric: Export) -> Finding:
    span = metric.found.node.span
    message = f"headrace itself exports a metric that needs the name {metric.name}: choose another name"
    return metric.source.finding(span, Fault("duplicate-metric", message, metric.source.written(span)))


def _duplicate(metric: Export, first: Export) -> Finding:
    span = metric.found.node.span
    written = metric.source.written(span)
    line, _ = first.source.place(first.found.node.span)
    where = f"{first.source.file}, line {line}" if first.source.file != metric.source.file else f"line {line}"
    if first.name == metric.name:
        said = f"the stage {first.stage} exports this metric already, in {where}"
    else:
        said = f"the stage {first.stage} exports {first.name}, in {where}, and the two need a name in common"
    message = f"{said}: give each metric a name of its own"
    return metric.source.finding(span, Fault("duplicate-metric", message, written))
