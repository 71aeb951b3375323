"""`headrace run`: runs what a config file describes, until it ends or a signal drains it."""

from enum import StrEnum
from typing import Annotated

import typer


class LogLevel(StrEnum):
    """From which level on log records are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(  # noqa: PLR0913 - to typer each option is a parameter
    file: Annotated[str, typer.Argument(help="The config file: YAML, JSON or TOML.", metavar="FILE")],
    *,
    drain_seconds: Annotated[
        float | None,
        typer.Option(min=0.0, help="How long a drain may take before the rest is stopped.", show_default="30"),
    ] = None,
    forever: Annotated[
        bool, typer.Option("--forever", help="Go on when nothing is left to do, until a signal ends it.")
    ] = False,
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress",
            help="Show progress and short log lines, or write JSON logs.",
            show_default="progress on a terminal, JSON logs elsewhere",
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
    log_level: Annotated[
        LogLevel, typer.Option(help="Log from this level on; debug shows tracebacks.")
    ] = LogLevel.INFO,
) -> None:
    """Run what a config file describes, until it ends.

    It ends when all stages have completed, and no job is available or executing.
    SIGTERM, SIGINT and SIGHUP drain it: sources take in nothing more, and
    what is under way goes through. A second signal ends it at once.

    Exit codes: 0 fine, 1 the run failed or not all went through, 2 usage,
    78 the config is wrong.
    """
    from headrace.console.cli.invocation import RunOptions, run_file

    options = RunOptions(file, drain_seconds, progress, summary, as_json, log_level.value, forever)
    raise typer.Exit(run_file(options))
