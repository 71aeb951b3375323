"""`headrace run`: runs a config file, and ends the OS process even if threads would keep it alive."""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headrace.config.check.config import Config
from headrace.config.files import load_file
from headrace.config.pipeline import Pipeline
from headrace.config.text.findings import ConfigError
from headrace.console.cli.output import (
    JsonFormatter,
    LineFormatter,
    UsageError,
    logging_to,
    print_findings,
    print_json,
    write_json,
)
from headrace.console.cli.session import Listening, ProgressLine, RunPlan, in_lines, on_terminal, run_until_end
from headrace.console.cli.streams import Color, ColorOption, ExitCode
from headrace.console.cli.summary import JobsSummary, RunSummary, summary_json
from headrace.http.address import Address, ListenFailed, bind, port_of
from headrace.pipeline.topology.run import DRAIN_SECONDS
from headrace.telemetry.events import LOG

if TYPE_CHECKING:
    from headrace.jobs.job import Job


def stdout_stages(config: Config) -> Iterator[str]:
    """Yield the names of the stages that write events to standard output."""
    for stage in config.stages:
        if stage.type.declares.writes_to_stdout(stage.options):
            yield stage.name


EXIT_SECONDS: Final = 5.0
"""The time limit for closing the event loop after a run has ended: it waits for functions of `asyncio.to_thread`."""


class ExitBound:
    """Limits the time that the event loop of an ended run takes to close."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def begin(self, code: int) -> None:
        """End the OS process with the exit code `code` in EXIT_SECONDS, unless cancelled before."""
        self._timer = threading.Timer(EXIT_SECONDS, self._end, (code,))
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Let the OS process end by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, code: int) -> None:
        others = {threading.main_thread(), threading.current_thread()}
        names = ", ".join(sorted(thread.name for thread in threading.enumerate() if thread not in others))
        LOG.error("the run has ended, but threads keep its process up, which is ended now: %s", names)
        end_process(code)


def name_running(jobs: "Sequence[Job]") -> bool:
    """Log the jobs that still run in threads; return whether there are any, so that the OS process must be ended."""
    if jobs:
        names = ", ".join(f"{job.id} ({job.worker})" for job in jobs)
        LOG.error("the process ends while jobs run in threads; they run again, at the cost of no attempt: %s", names)
    return bool(jobs)


def end_process(code: int) -> None:
    """Flush output and logs, and end the OS process."""
    for handler in LOG.handlers + logging.getLogger().handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class LogFormat(StrEnum):
    """The format of log records."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The lowest level of log records that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LogLevelOption = Annotated[
    LogLevel | None,
    typer.Option(
        help="Log from this level on; debug shows tracebacks.",
        metavar="debug|info|warning|error",
        show_default="info",
    ),
]
LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option(
        help="Write logs as short lines or as JSON.",
        metavar="text|json",
        show_default="text with progress, JSON without",
    ),
]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of the command; the default of a None depends on whether there is a terminal."""

    file: str
    drain_seconds: float | None = None
    progress: bool | None = None
    summary: bool | None = None
    as_json: bool = False
    log_level: str = LogLevel.INFO
    log_format: LogFormat | None = None
    is_forever: bool = False
    is_quiet: bool = False
    json_file: str | None = None


def run_config(options: RunOptions, load: Callable[[], Config]) -> ExitCode:
    """Run the pipeline of the config that `load` returns, or whose findings it raises; return the exit code.

    It is 2 where events would be printed between the JSON document, or where its file cannot be written.
    """
    try:
        _check_json_file(options.json_file)
        config = load()
        _check_stdout(options, config)
        pipeline = Pipeline.from_config(config)
    except ConfigError as error:
        return _refuse(options, error)
    except UsageError as error:
        print(f"headrace: {error}", file=sys.stderr)
        return ExitCode.USAGE
    pipeline.is_forever = options.is_forever
    with _reporting(options, pipeline) as progress:
        try:
            listening = _listening(pipeline)
        except ListenFailed as error:
            LOG.error("%s", error)
            return _end(options, pipeline, None, RunSummary(None, None, 0.0, error, redactor=_redactor(pipeline)))
        drain_seconds = DRAIN_SECONDS if options.drain_seconds is None else options.drain_seconds
        bound = ExitBound()
        summary = asyncio.run(_run_until_end(pipeline, RunPlan(listening, progress, drain_seconds), bound))
        bound.cancel()
        LOG.log(_level(summary), "pipeline %r ended: %s", pipeline.name, summary.status())
        has_running_jobs = pipeline.jobs is not None and name_running(pipeline.jobs.late.jobs)
    code = _end(options, pipeline, listening, summary)
    if has_running_jobs:
        end_process(code)
    return code


def run_file(options: RunOptions) -> ExitCode:
    """Run the pipeline of a config file, as `run_config` does."""
    return run_config(options, lambda: load_file(options.file, runs_alone=True))


async def _run_until_end(pipeline: Pipeline, plan: RunPlan, bound: ExitBound) -> RunSummary:
    summary = replace(await run_until_end(pipeline, plan), redactor=_redactor(pipeline), jobs=_jobs_ended(pipeline))
    bound.begin(summary.exit_code)
    return summary


def _level(summary: RunSummary) -> int:
    if summary.exit_code is not ExitCode.FINE:
        return logging.ERROR
    return logging.WARNING if summary.warnings() else logging.INFO


@contextmanager
def _reporting(options: RunOptions, pipeline: Pipeline) -> Iterator[ProgressLine | None]:
    """Write logs while the block runs, and show progress if it is wanted.

    The default format is text where people read it: with progress, and with --quiet on a terminal.
    """
    is_terminal = sys.stderr.isatty()
    is_for_people = is_terminal and not options.as_json
    is_shown = (is_for_people and not options.is_quiet) if options.progress is None else options.progress
    is_text = is_shown or (is_for_people and options.is_quiet)
    formatter = _formatter(options, pipeline, options.log_format or (LogFormat.TEXT if is_text else LogFormat.JSON))
    if is_shown:
        with (on_terminal if is_terminal else in_lines)(time.monotonic) as progress:
            progress.handler.setFormatter(formatter)
            with logging_to(progress.handler, options.log_level):
                yield progress
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(formatter)
        with logging_to(handler, options.log_level):
            yield None


def _formatter(options: RunOptions, pipeline: Pipeline, log_format: LogFormat) -> logging.Formatter:
    with_tracebacks = options.log_level == LogLevel.DEBUG
    if log_format is LogFormat.TEXT:
        return LineFormatter(with_tracebacks=with_tracebacks, redactor=_redactor(pipeline))
    names = [stage.name for stage in pipeline.config.stages] if pipeline.config else []
    return JsonFormatter(pipeline.name, names, with_tracebacks=with_tracebacks, redactor=_redactor(pipeline))


def _jobs_ended(pipeline: Pipeline) -> JobsSummary | None:
    metrics = pipeline.jobs.metrics if pipeline.jobs else None
    if metrics is None:
        return None
    return JobsSummary(*(metrics.finished([outcome]) for outcome in ("completed", "failed", "discarded", "cancelled")))


def _redactor(pipeline: Pipeline) -> Callable[[str], str]:
    return pipeline.config.redactor if pipeline.config else str


def _listening(pipeline: Pipeline) -> Listening | None:
    """Bind the listener. Raises `ListenFailed`."""
    keys = pipeline.listen
    if keys is None:
        return None
    sockets = tuple(bind(keys.address, asks_token=keys.token is not None))
    bound, is_any = keys.address.host, keys.address.host in ("0.0.0.0", "::")  # noqa: S104 - it is not bound here
    url, configured = (
        f"http://{Address(host, port_of(sockets[0]))}" for host in ("127.0.0.1" if is_any else bound, bound)
    )
    where = f"{configured} (each address of this machine; from here {url})" if is_any else configured
    return Listening(keys, sockets, url, where, _redactor(pipeline))


def _check_json_file(path: str | None) -> None:
    """Raise `UsageError` when the file of the JSON document cannot be written."""
    if path is None:
        return
    try:
        with Path(path).open("a"):
            pass
    except OSError as error:
        raise UsageError("--json-file", f"{path} cannot be written ({error.strerror})") from None


def _check_stdout(options: RunOptions, config: Config) -> None:
    """Raise `UsageError` when events would be written to stdout beside the JSON document."""
    writing = next(stdout_stages(config), None) if options.as_json else None
    if writing is not None:
        why = f"the stage {writing} writes events to stdout, and the document would stand among them"
        raise UsageError("--json", f"{why}: write it to a file with --json-file FILE")


def _refuse(options: RunOptions, error: ConfigError) -> ExitCode:
    document = {"file": options.file, "exit_code": int(ExitCode.CONFIG), "findings": error.as_json()}
    if options.json_file is not None:
        write_json(options.json_file, document)
    if options.as_json:
        print_json(document)
    else:
        print_findings(error)
    return ExitCode.CONFIG


def _end(options: RunOptions, pipeline: Pipeline, listening: Listening | None, summary: RunSummary) -> ExitCode:
    """Print and write the summary as the options ask for; return the exit code."""
    url = listening.url if listening else None
    code = summary.exit_code
    if options.json_file is not None:
        try:
            write_json(options.json_file, summary_json(pipeline.name, options.file, url, summary))
        except OSError as error:
            print(f"headrace: {options.json_file} cannot be written: {error.strerror}", file=sys.stderr)
            code = ExitCode.FAILED
    if options.as_json:
        print_json(summary_json(pipeline.name, options.file, url, summary))
    elif (sys.stdout.isatty() and not options.is_quiet) if options.summary is None else options.summary:
        from headrace.console.cli.tables import print_summary

        print_summary(pipeline.name, options.file, url, summary)
    return code


_ONE_FILE: Final = (
    "headrace run takes one file, and got {}: start a command for each file, so that each run has its own exit code, "
    "signals and listener"
)
_ONE_LEVEL: Final = "--verbose and --quiet exclude each other"


app = typer.Typer(add_completion=False)


@app.command()
def run(  # noqa: PLR0913 - to typer each option is a parameter
    file: Annotated[list[str], typer.Argument(help="The config file: YAML, JSON or TOML.", metavar="FILE")],
    *,
    drain_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="The time limit of a drain; then the rest is stopped.",
            show_default="30",
            metavar="SECONDS",
        ),
    ] = None,
    forever: Annotated[
        bool, typer.Option("--forever", help="Continue when nothing is left to do, until a signal ends it.")
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
            help="End with a table of the stages and their counts.",
            show_default="on a terminal",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON document on stdout.")] = False,
    json_file: Annotated[
        str | None,
        typer.Option(help="Write that document to a file, for runs whose stages write to stdout.", metavar="FILE"),
    ] = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="The same as --log-level debug.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Log warnings and errors; show no progress and no summary.")
    ] = False,
    color: ColorOption = Color.AUTO,  # noqa: ARG001 - its callback has set it
) -> None:
    """Run a config file until it ends.

    It ends when all stages have completed, and no job is available or executing.
    SIGTERM, SIGINT and a lost terminal drain it: sources stop, and the work
    in progress is finished. A second signal ends it at once.

    One run is one file, so that each pipeline has its own exit code, signals
    and listener: start a command for each file. `headrace validate a.yaml b.yaml`
    checks that the files go together.

    Exit codes: 0 fine, 1 the run failed or lost events, 2 usage,
    78 the config is wrong.
    """
    if len(file) != 1:
        raise typer.BadParameter(_ONE_FILE.format(len(file)), param_hint="FILE")
    if verbose and quiet:
        raise typer.BadParameter(_ONE_LEVEL, param_hint="--quiet")

    level = log_level or (LogLevel.DEBUG if verbose else LogLevel.WARNING if quiet else LogLevel.INFO)
    options = RunOptions(
        file[0],
        drain_seconds,
        progress,
        summary,
        as_json,
        log_level=level,
        log_format=log_format,
        is_forever=forever,
        is_quiet=quiet,
        json_file=json_file,
    )
    raise typer.Exit(run_file(options))
