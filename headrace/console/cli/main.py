"""The command line. Commands import their modules when they run, so that --help answers at once."""

import os
import sys
from enum import StrEnum
from typing import Annotated, Final

import typer
from typer.completion import get_completion_inspect_parameters, install_callback, show_callback

from headrace import __version__
from headrace.console.cli.commands import cron, dead_letters, jobs, queues, registry, stages
from headrace.console.cli.commands.run import run
from headrace.console.cli.commands.validate import schema, validate
from headrace.console.cli.output import Color, ColorOption, ExitCode, escape_unencodable, reopen_closed
from headrace.console.cli.plain_help import with_plain_help

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


class Shell(StrEnum):
    """A shell that can complete headrace's commands and options."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_SHELLS: Final = "|".join(Shell)


def _headrace(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Print the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
    color: ColorOption = Color.AUTO,
    show_completion: Annotated[
        Shell | None,
        typer.Option(help="Print the completion script of a shell.", metavar=_SHELLS, callback=show_callback),
    ] = None,
    install_completion: Annotated[
        Shell | None,
        typer.Option(help="Install completion for a shell.", metavar=_SHELLS, callback=install_callback),
    ] = None,
) -> None:
    """Run stages that pass demand upstream and events downstream, as a file declares them."""


def make_app() -> typer.Typer:
    """Return the command line as typer's app."""
    get_completion_inspect_parameters()  # tells the shells to typer, which does so itself only with its own options
    app = typer.Typer(
        name="headrace",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_headrace)
    for command in (run, validate, schema):
        app.command()(command)
    for name, group in _GROUPS.items():
        app.add_typer(group.app, name=name)
    return with_plain_help(app)


def main() -> None:
    """Run the command that the arguments name; only a bug of headrace shows a traceback."""
    reopen_closed()
    escape_unencodable()
    try:
        try:
            make_app()(prog_name="headrace")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has closed it; Python would report that once more on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        from headrace.console.cli.output import is_headrace_bug, sentence

        if is_headrace_bug(error):
            raise
        print(f"headrace: {sentence(error)}", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
