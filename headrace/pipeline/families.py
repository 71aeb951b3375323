"""The metrics that stages declare themselves, each name once: an exposition may not say one twice."""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import Metric

from headrace.pipeline.topology.snapshot import TopologySnapshot
from headrace.telemetry.counts import Family, LabelValues
from headrace.telemetry.prometheus import exported

STAGE_LABELS: Final = ("pipeline", "stage")

_Part = tuple[LabelValues, Family]


def stage_families(snapshot: TopologySnapshot) -> Iterator[Metric]:
    """Yield the metrics of all stages.

    A metric with the labels of its stage has a series for each stage. One without them, as `count_metrics` has, is
    shared by the copies of one stage: its counts are added, and of a gauge the later copy's value stands. The topology
    has refused any other two metrics of one name.
    """
    by_name: dict[str, list[_Part]] = {}
    for stage in snapshot.stages:
        for family in stage.families:
            by_name.setdefault(family.spec.name, []).append(((snapshot.name, stage.name), family))
    for parts in by_name.values():
        spec = parts[0][1].spec
        if spec.has_stage_labels:
            yield exported(spec, parts, STAGE_LABELS)
        else:
            yield exported(spec, [((), combined([family for _, family in parts]))])


def combined(families: Sequence[Family]) -> Family:
    """Return the numbers of families with one spec as those of one family."""
    first, *others = families
    if not others:
        return first
    total = first.copy()
    for family in others:
        total.join(family)
    return total
