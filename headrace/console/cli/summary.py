"""The end of a run as a table for people, or as JSON: what went through, what the metrics say, where to look next."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from rich.box import SIMPLE_HEAD
from rich.console import Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from headrace.console.cli.digest import Digest, Row, digest
from headrace.console.cli.ending import Ending
from headrace.console.cli.terminal import stdout_console
from headrace.pipeline.topology.snapshot import StageSnapshot, TopologySnapshot
from headrace.telemetry.counts import Family


def print_summary(name: str, file: str, url: str | None, ending: Ending) -> None:
    """Print everything to stdout."""
    console = stdout_console()
    console.print(Text(f"{name}: {ending.verdict()} ({ending.seconds:.1f} s)"))
    if ending.snapshot is not None:
        console.print(stage_table(ending.snapshot.stages))
        for stage in ending.snapshot.stages:
            for family in stage.families:
                console.print(metric_table(digest(family)))
    console.print(_next_steps(file, url, has_jobs=ending.jobs is not None))


def stage_table(stages: Iterable[StageSnapshot]) -> Table:
    """Return what went through each stage."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("stage", "kind", "received", "sent", "discarded", "errors", "busy"):
        justify: JustifyMethod = "right" if heading in {"received", "sent", "busy"} else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for stage in stages:
        table.add_row(
            Text(stage.name),
            stage.kind.replace("_", "-"),
            "" if stage.kind == "producer" else f"{stage.events_received:,}",
            "" if stage.kind == "consumer" else f"{stage.events_sent:,}",
            _counts(stage.discarded),
            _counts(stage.errors),
            f"{stage.busy_seconds:.2f} s",
        )
    return table


def metric_table(metric: Digest) -> RenderableType:
    """Return what one metric says: a line for each label set."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold")
    for _ in range(3):
        table.add_column(justify="right", overflow="fold")
    for row in metric.rows:
        table.add_row(Text(row.label or "(no labels)"), *_cells(row))
    heading = Text(f"{metric.name} ({metric.kind})" + (f": {metric.help}" if metric.help else ""))
    body: RenderableType = table if metric.rows else Text("nothing counted")
    return Group(heading, Padding(body, (0, 0, 1, 2), expand=False))


def summary_json(name: str, file: str, url: str | None, ending: Ending) -> dict[str, object]:
    """Return everything as plain values, every label set included."""
    snapshot = ending.snapshot
    return {
        "pipeline": name,
        "file": file,
        "url": url,
        "exit_code": int(ending.exit_code),
        "verdict": ending.verdict(),
        "troubles": ending.troubles(),
        "omissions": ending.omissions(),
        "seconds": round(ending.seconds, 3),
        "jobs": None if ending.jobs is None else asdict(ending.jobs),
        "stages": [] if snapshot is None else [_stage_json(stage) for stage in snapshot.stages],
        "edges": [] if snapshot is None else _edges_json(snapshot),
        "metrics": []
        if snapshot is None
        else [_metric_json(stage.name, family) for stage in snapshot.stages for family in stage.families],
    }


def _stage_json(stage: StageSnapshot) -> dict[str, object]:
    return {
        "stage": stage.name,
        "kind": stage.kind,
        "state": stage.state,
        "error": stage.error,
        "received": stage.events_received,
        "sent": stage.events_sent,
        "discarded": dict(stage.discarded),
        "lost": dict(stage.lost),
        "errors": dict(stage.errors),
        "failed": stage.events_failed,
        "restarts": stage.restarts,
        "busy_seconds": round(stage.busy_seconds, 6),
    }


def _edges_json(snapshot: TopologySnapshot) -> list[dict[str, object]]:
    return [
        {"producer": edge.producer, "consumer": edge.consumer, "asked": edge.demand_requested, "events": edge.events}
        for edge in snapshot.edges
    ]


def _metric_json(stage: str, family: Family) -> dict[str, object]:
    spec = family.spec
    samples: list[dict[str, object]] = [
        {"labels": dict(zip(spec.labels, values, strict=True)), "value": amount}
        for values, amount in family.samples.items()
    ]
    samples += [
        {
            "labels": dict(zip(spec.labels, values, strict=True)),
            "sum": tally.sum,
            "count": sum(tally.counts()),
            "bounds": list(tally.bounds),
            "counts": list(tally.counts()),
        }
        for values, tally in family.tallies.items()
    ]
    return {"metric": spec.name, "kind": spec.kind, "stage": stage, "samples": samples, "refused": family.refused}


def _counts(counts: Mapping[str, int]) -> Text:
    return Text(", ".join(f"{name} {count:,}" for name, count in counts.items() if count))


def _cells(row: Row) -> tuple[str, ...]:
    value = "" if row.value is None else _number(row.value)
    if row.count is None:
        return (value,)
    mean = f"mean {_number((row.value or 0) / row.count)}" if row.count else ""
    return f"{row.count:,} x", mean, f"sum {value}"


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _next_steps(file: str, url: str | None, *, has_jobs: bool) -> RenderableType:
    steps = Table(box=None, show_header=False, pad_edge=False)
    steps.add_row(Text(f"headrace validate {file}"), Text("what the file describes, or all that is wrong in it"))
    if has_jobs:
        steps.add_row(Text(f"headrace jobs list {file}"), Text("its jobs; more by headrace jobs --help"))
    if url is not None:
        steps.add_row(
            Text(f"{url}/metrics"), Text("these numbers for Prometheus, while it runs; /ready and /health too")
        )
    steps.add_row(Text("headrace run --help"), Text("how to run it with JSON logs, or until a signal ends it"))
    return Group(Text("Where to look next"), Padding(steps, (0, 0, 0, 2), expand=False))
