"""The command line: a table of commands, each imported when it runs, so that --help stays quick."""

import os
import sys
from enum import StrEnum
from importlib import import_module
from typing import Annotated, Final

import typer
from typer._click.core import Command, Context  # the classes of typer need its own copy of click
from typer._click.formatting import HelpFormatter
from typer.completion import get_completion_inspect_parameters, install_callback, show_callback
from typer.core import TyperCommand
from typing_extensions import override

from headrace import __version__
from headrace.console.cli.plain_help import PlainGroup, with_plain_help
from headrace.console.cli.streams import Color, ColorOption, ExitCode, escape_unencodable, reopen_closed

COMMANDS: Final = {
    "run": ("run", "Run a config file until it ends."),
    "worker": ("worker", "Run the jobs of modules, without a config file."),
    "validate": ("validate", "Check config files, each alone and against each other."),
    "schema": ("validate", "Print the JSON Schema of config files, with every installed stage type."),
    "jobs": ("jobs", "List, show, enqueue and change jobs."),
    "queues": ("queues", "List, pause, resume and scale queues."),
    "cron": ("cron", "List the cron entries, and enqueue their jobs now."),
    "registry": ("registry", "Start the work of a key, and find its result."),
    "dead-letters": ("dead_letters", "List, show, replay and drop events that failed for good."),
    "stages": ("stages", "List, pause, resume and change the stages of a run."),
}
"""Each command: the module of `commands` that defines it, and its line in `headrace --help`."""


class _Commands(PlainGroup):
    """The commands. A module is imported when one of its commands runs, and not to list its help line."""

    _lists_help = False

    @override
    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, help_line = COMMANDS[cmd_name]
        return TyperCommand(cmd_name, help=help_line) if self._lists_help else load_command(cmd_name, module)

    @override
    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        self._lists_help = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._lists_help = False


def load_command(name: str, module: str) -> Command:
    """Import the module of a command or a group of commands; return the command."""
    app: typer.Typer = import_module(f"headrace.console.cli.commands.{module}").app
    own = [one for one in app.registered_commands if one.callback is not None and one.callback.__name__ == name]
    if own:  # only this command of the module: to build the others takes milliseconds
        app = typer.Typer(add_completion=False)
        app.registered_commands = own
    command = typer.main.get_command(with_plain_help(app))
    command.name = name
    return command


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
    """Run stages that pass demand upstream and events downstream, as a config file declares them."""


def make_app() -> typer.Typer:
    """Return the command line as typer's app."""
    get_completion_inspect_parameters()  # typer learns of the shells here, as we replace its own options
    app = typer.Typer(
        name="headrace",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_headrace)
    app.info.cls = _Commands
    return app


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
        # The reader has closed our output; Python would report it once more on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        from headrace.console.cli.output import is_headrace_bug, sentence

        if is_headrace_bug(error):
            raise
        print(f"headrace: {sentence(error)}", file=sys.stderr)
        sys.exit(ExitCode.FAILED)
