"""The command line. Commands import what they need inside, so that --help answers at once."""

import os
import sys
from typing import Annotated, Final

import typer

from headrace import __version__
from headrace.console.cli import cron, dead_letters, jobs, queues, registry, stages
from headrace.console.cli.exit_code import ExitCode
from headrace.console.cli.run import run
from headrace.console.cli.schema import schema
from headrace.console.cli.streams import reopen_closed
from headrace.console.cli.validate import validate

_GROUPS: Final = {
    "jobs": jobs,
    "queues": queues,
    "cron": cron,
    "registry": registry,
    "dead-letters": dead_letters,
    "stages": stages,
}


def _show_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer hands an option's value over by position
    if is_wanted:
        print(f"headrace {__version__}")
        raise typer.Exit


def _headrace(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Run stages that pass demand upstream and events downstream, as a file declares them."""


def make_app() -> typer.Typer:
    """Return the command line as typer's app."""
    app = typer.Typer(name="headrace", no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_headrace)
    for command in (run, validate, schema):
        app.command()(command)
    for name, group in _GROUPS.items():
        app.add_typer(group.app, name=name)
    return app


def main() -> None:
    """Run the command that the arguments name; a traceback is shown for nothing but a bug of our own."""
    reopen_closed()
    try:
        try:
            make_app()(prog_name="headrace")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone, and Python would complain about it once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        from headrace.console.cli.reasons import is_our_fault, sentence

        if is_our_fault(error):
            raise
        print(f"headrace: {sentence(error)}", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
