"""`headrace run`: runs what a config file describes, until it ends or a signal drains it."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from headrace.console.cli.output import Color, ColorOption

_ONE_FILE: Final = (
    "headrace run takes one file, and got {}: start a command for each file, so that each run has its own exit code, "
    "signals and listener"
)
_ONE_LEVEL: Final = "--verbose and --quiet exclude each other"


class LogFormatOption(StrEnum):
    """How log records are written."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """From which level on log records are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(  # noqa: PLR0913 - to typer each option is a parameter
    file: Annotated[list[str], typer.Argument(help="The config file: YAML, JSON or TOML.", metavar="FILE")],
    *,
    drain_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="How long a drain may take before the rest is stopped.",
            show_default="30",
            metavar="SECONDS",
        ),
    ] = None,
    forever: Annotated[
        bool, typer.Option("--forever", help="Go on when nothing is left to do, until a signal ends it.")
    ] = False,
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress",
            help="Show progress.",
            show_default="on a terminal",
        ),
    ] = None,
    summary: Annotated[
        bool | None,
        typer.Option(
            "--summary/--no-summary",
            help="End with a table of what went through.",
            show_default="on a terminal",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON document on stdout.")] = False,
    json_file: Annotated[
        str | None,
        typer.Option(help="Write that document to a file: for runs whose stages write to stdout.", metavar="FILE"),
    ] = None,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            help="Log from this level on; debug shows tracebacks.",
            metavar="debug|info|warning|error",
            show_default="info",
        ),
    ] = None,
    log_format: Annotated[
        LogFormatOption | None,
        typer.Option(
            help="Write logs as short lines or as JSON.",
            metavar="text|json",
            show_default="text with progress, JSON without",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="The same as --log-level debug.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Log warnings and errors; show no progress and no summary.")
    ] = False,
    color: ColorOption = Color.AUTO,  # noqa: ARG001 - its callback has set it
) -> None:
    """Run what a config file describes, until it ends.

    It ends when all stages have completed, and no job is available or executing.
    SIGTERM, SIGINT and a lost terminal drain it: sources take in nothing more,
    and what is under way goes through. A second signal ends it at once.

    One run is one file, so that each pipeline has its own exit code, signals
    and listener: start a command for each file. `headrace validate a.yaml b.yaml`
    checks that the files go together.

    Exit codes: 0 fine, 1 the run failed or not all went through, 2 usage,
    78 the config is wrong.
    """
    if len(file) != 1:
        raise typer.BadParameter(_ONE_FILE.format(len(file)), param_hint="FILE")
    if verbose and quiet:
        raise typer.BadParameter(_ONE_LEVEL, param_hint="--quiet")
    from headrace.console.cli.commands.invocation import RunOptions, run_file

    level = log_level or (LogLevel.DEBUG if verbose else LogLevel.WARNING if quiet else LogLevel.INFO)
    options = RunOptions(
        file[0],
        drain_seconds,
        progress,
        summary,
        as_json,
        log_level=level.value,
        log_format=None if log_format is None else log_format.value,
        is_forever=forever,
        is_quiet=quiet,
        json_file=json_file,
    )
    raise typer.Exit(run_file(options))
