"""`headrace registry`: starts the work of a key, and finds its result."""

from typing import Annotated

import typer

File = Annotated[str, typer.Argument(help="The config file.", metavar="FILE")]
Name = Annotated[str, typer.Argument(help="The registry's name, or that of its worker.", metavar="NAME")]
_KEY = 'The key: text, or JSON where the worker takes no text; {"a": 1, "b": 2} where it takes several arguments.'
Key = Annotated[str, typer.Argument(help=_KEY, metavar="KEY")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

app = typer.Typer(no_args_is_help=True, help="Start the work of a key, and find its result.")


@app.command()
def add(file: File, name: Name, key: Key, *, as_json: AsJson = False) -> None:
    """Start the work of a key, once: headrace registry add FILE NAME KEY."""
    from headrace.console.cli.commands.registry_work import add_key
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: add_key(Target(file, None), name, key, as_json=as_json), as_json=as_json))


@app.command()
def find(file: File, name: Name, key: Key, *, as_json: AsJson = False) -> None:
    """Say what is known of a key: headrace registry find FILE NAME KEY.

    Exit codes: 0 it is found; 1 it is pending, failed or not found.
    """
    from headrace.console.cli.commands.registry_work import find_key
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: find_key(Target(file, None), name, key, as_json=as_json), as_json=as_json))
