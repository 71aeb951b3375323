"""What the commands about registries do."""

from typing import Annotated

import typer

from headrace.config.jobs import registries_of
from headrace.console.cli.job_target import Target, UsageError
from headrace.console.cli.options import FileArgument, JsonOption, NameArgument
from headrace.console.cli.output import print_json, print_tables
from headrace.console.cli.streams import ExitCode
from headrace.jobs.results import JobRegistry
from headrace.stages.jobs import called_with, encoded


async def find_key(target: Target, name: str, key: str, *, as_json: bool) -> ExitCode:
    """Print what is known of a key; return 1 unless its result is there."""
    async with target.opened("inserts", "finds", imports=True):
        registry = _registry(target, name)
        positional, named = called_with(registry, key)
        values = encoded(registry, await registry.find(*positional, **named))
    code = ExitCode.FINE if values["state"] == "found" else ExitCode.FAILED
    if as_json:
        print_json({"exit_code": int(code), **values})
    else:
        text = values.get("value", values.get("error"))
        print_tables(f"{values['state']}: {text}" if text is not None else str(values["state"]))
    return code


async def add_key(target: Target, name: str, key: str, *, as_json: bool) -> ExitCode:
    """Start the work of a key, unless it was started; do not wait for it."""
    async with target.opened("inserts", "finds", imports=True):
        registry = _registry(target, name)
        positional, named = called_with(registry, key)
        handle = await registry.add(*positional, **named)
    if as_json:
        print_json({"exit_code": 0, "id": handle.id, "is_conflict": handle.is_conflict})
    else:
        print_tables("the work was started before" if handle.is_conflict else f"job {handle.id} is enqueued")
    return ExitCode.FINE


def _registry(target: Target, name: str) -> JobRegistry[..., object]:
    found = registries_of(target.configured(imports=True))
    if name not in found:
        raise UsageError("NAME", f"there is no registry {name!r}: there are {', '.join(sorted(found)) or 'none'}")
    return found[name]


_KEY = 'The key: text, or JSON where the worker takes no text; {"a": 1, "b": 2} where it takes several arguments.'
Key = Annotated[str, typer.Argument(help=_KEY, metavar="KEY")]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Start the work of a key, and find its result.")


@app.command()
def add(file: FileArgument, name: NameArgument, key: Key, *, as_json: JsonOption = False) -> None:
    """Start the work of a key, once: headrace registry add FILE NAME KEY."""
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: add_key(Target(file, None), name, key, as_json=as_json), as_json=as_json))


@app.command()
def find(file: FileArgument, name: NameArgument, key: Key, *, as_json: JsonOption = False) -> None:
    """Say what is known of a key: headrace registry find FILE NAME KEY.

    Exit codes: 0 it is found; 1 it is pending, failed or not found.
    """
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: find_key(Target(file, None), name, key, as_json=as_json), as_json=as_json))
