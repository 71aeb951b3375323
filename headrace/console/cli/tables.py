"""Tables and other text on stdout; imported only by commands that print some, since rich takes long to import."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Never

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from headrace.config.text.findings import ConfigError
from headrace.console.cli.output import UsageError, print_findings, print_json
from headrace.console.cli.streams import ExitCode
from headrace.console.cli.summary import MetricRow, MetricSummary, RunSummary, metric_rows
from headrace.errors import HeadraceError
from headrace.pipeline.topology.snapshot import StageSnapshot

_UNCUT: Final = 100_000  # columns: wider than any table
_USUAL: Final = 80  # columns of a terminal of unknown width
_SHORT: Final = 60  # characters of a long value in a line of a list


def print_tables(*parts: RenderableType) -> None:
    """Print to stdout."""
    console = stdout_console()
    for part in parts:
        console.print(part)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command: `values` are its JSON, and `parts` its text for people, made only if it is printed."""

    values: Mapping[str, object]
    parts: Iterable[RenderableType]
    code: ExitCode = ExitCode.FINE


def run_command(work: Callable[[], Coroutine[Never, Never, Result]], *, as_json: bool) -> Never:
    """Run a command on an event loop of its own, print its result or its error, and exit with its code."""
    try:
        result = asyncio.run(work())
        code = result.code
        if as_json:
            print_json({"exit_code": int(code), **result.values})
        else:
            print_tables(*result.parts)
    except ConfigError as error:
        code = ExitCode.CONFIG
        if as_json:
            print_json({"exit_code": int(code), "findings": error.as_json()})
        else:
            print_findings(error)
    except HeadraceError as error:
        code = ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.FAILED
        if as_json:
            print_json({"exit_code": int(code), "error": str(error)})
        else:
            print(f"headrace: {error}", file=sys.stderr)
    sys.exit(code)


def stdout_console() -> Console:
    """Return a console for stdout: as wide as the terminal or as COLUMNS says, and without a limit otherwise."""
    width = _UNCUT
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        width = min(int(columns), _UNCUT)
    elif sys.stdout.isatty():
        width = os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL
    return Console(highlight=False, width=width)


def table_of(headings: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> Table:
    """Return a table of texts; columns in `right` are set to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    return table


def lines_of(values: Iterable[tuple[str, object]]) -> Table:
    """Return a table with a name and a value in each line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in values:
        table.add_row(Text(name), Text(str(value)))
    return table


def short(text: str) -> str:
    """Return a text of at most 60 characters, cut where it is longer."""
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def time_text(time: datetime | None, missing: str = "") -> str:
    """Return a time to the second, without its time zone; `missing` for None."""
    return missing if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def print_summary(name: str, file: str, url: str | None, summary: RunSummary) -> None:
    """Print the end of a run, its stages, and their own metrics."""
    parts: list[RenderableType] = [Text(f"{name}: {summary.status()} ({summary.seconds:.1f} s)")]
    if summary.snapshot is not None:
        stages = summary.snapshot.stages
        parts.append(_stage_table(stages))
        parts += [_metric_table(metric_rows(family)) for stage in stages for family in stage.families]
    print_tables(*parts, _next_steps(file, url, has_jobs=summary.jobs is not None))


def _stage_table(stages: Iterable[StageSnapshot]) -> Table:
    """Return a table with the counts of each stage."""
    headings = ("stage", "kind", "received", "sent", "discarded", "errors", "busy")
    rows = (
        (
            stage.name,
            stage.kind.replace("_", "-"),
            "" if stage.kind == "producer" else f"{stage.events_received:,}",
            "" if stage.kind == "consumer" else f"{stage.events_sent:,}",
            _counts(stage.discarded),
            _counts(stage.errors),
            f"{stage.busy_seconds:.2f} s",
        )
        for stage in stages
    )
    return table_of(headings, rows, ("received", "sent", "busy"))


def _metric_table(metric: MetricSummary) -> RenderableType:
    """Return a table of one metric, with a line for each row."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold")
    for _ in range(3):
        table.add_column(justify="right", overflow="fold")
    for row in metric.rows:
        table.add_row(Text(row.label or "(no labels)"), *_cells(row))
    heading = Text(f"{metric.name} ({metric.kind})" + (f": {metric.help}" if metric.help else ""))
    body: RenderableType = table if metric.rows else Text("nothing counted")
    return Group(heading, Padding(body, (0, 0, 1, 2), expand=False))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)


def _cells(row: MetricRow) -> tuple[str, ...]:
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
    steps = [(f"headrace validate {file}", "the description of the file, or all findings")]
    if has_jobs:
        steps.append((f"headrace jobs list {file}", "its jobs; more by headrace jobs --help"))
    if url is not None:
        steps.append((f"{url}/metrics", "these numbers for Prometheus, while it runs; /ready and /health too"))
    steps.append(("headrace run --help", "how to run it with JSON logs, or until a signal ends it"))
    return Group(Text("Where to look next"), Padding(lines_of(steps), (0, 0, 0, 2), expand=False))
