"""The commands `headrace registry ...`: start the work of a key, and find its result."""

from typing import Annotated

import typer

from headrace.config.jobs import registries_of
from headrace.console.cli.output import UsageError
from headrace.console.cli.streams import ExitCode, JsonOption
from headrace.console.cli.tables import Result, run_command
from headrace.console.cli.target import FileArgument, Target
from headrace.jobs.results import JobRegistry
from headrace.stages.jobs import called_with, encoded


async def find_key(target: Target, name: str, key: str) -> Result:
    """Return the state of a key, its result, and the exit code: 1 unless the result was found."""
    async with target.store("inserts", "finds", imports=True):
        registry = _registry(target, name)
        positional, named = called_with(registry, key)
        values = encoded(registry, await registry.find(*positional, **named))
    code = ExitCode.FINE if values["state"] == "found" else ExitCode.FAILED
    result = values.get("value", values.get("error"))
    sentence = str(values["state"]) if result is None else f"{values['state']}: {result}"
    return Result(values, [sentence], code)


async def add_key(target: Target, name: str, key: str) -> Result:
    """Start the work of a key, unless it was started; do not wait for it."""
    async with target.store("inserts", "finds", imports=True):
        registry = _registry(target, name)
        positional, named = called_with(registry, key)
        handle = await registry.add(*positional, **named)
    sentence = "the work was started before" if handle.is_conflict else f"job {handle.id} is enqueued"
    return Result({"id": handle.id, "is_conflict": handle.is_conflict}, [sentence])


def _registry(target: Target, name: str) -> JobRegistry[..., object]:
    found = registries_of(target.configured_jobs(imports=True))
    if name not in found:
        raise UsageError("NAME", f"there is no registry {name!r}: there are {', '.join(sorted(found)) or 'none'}")
    return found[name]


NameArgument = Annotated[str, typer.Argument(help="The registry's name, or that of its worker.", metavar="NAME")]
_KEY = 'The key: text, or JSON where the worker takes no text; {"a": 1, "b": 2} where it takes several arguments.'
Key = Annotated[str, typer.Argument(help=_KEY, metavar="KEY")]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Start the work of a key, and find its result.")


@app.command()
def add(file: FileArgument, name: NameArgument, key: Key, *, as_json: JsonOption = False) -> None:
    """Start the work of a key, once: headrace registry add FILE NAME KEY."""
    run_command(lambda: add_key(Target(file), name, key), as_json=as_json)


@app.command()
def find(file: FileArgument, name: NameArgument, key: Key, *, as_json: JsonOption = False) -> None:
    """Print the state of a key and its result: headrace registry find FILE NAME KEY.

    Exit codes: 0 the result is found; 1 it is pending, failed or not found.
    """
    run_command(lambda: find_key(Target(file), name, key), as_json=as_json)
