"""`headrace validate`: says what config files describe, or all that is wrong in them."""

from typing import Annotated

import typer

from headrace.console.cli.output import Color, ColorOption


def validate(
    files: Annotated[list[str], typer.Argument(help="Config files, which are to run side by side.", metavar="FILE...")],
    *,
    imports: Annotated[
        bool, typer.Option("--import/--no-import", help="Import the Python functions and classes that the files name.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when all is fine.")] = False,
    color: ColorOption = Color.AUTO,  # noqa: ARG001 - its callback has set it
) -> None:
    """Check config files, each alone and against each other.

    Names every stage and edge when all is fine; otherwise says everything
    that is wrong, and exits with 78.
    """
    from headrace.console.cli.commands.description import check_files

    raise typer.Exit(check_files(files, imports=imports, as_json=as_json, is_quiet=quiet))
