"""What the commands about registries do."""

from headrace.config.build import registries_of
from headrace.console.cli.job_target import Target, UsageError
from headrace.console.cli.output import ExitCode, print_json, print_tables
from headrace.jobs.results import JobRegistry
from headrace.stages.jobs import called_with, encoded


async def find_key(target: Target, name: str, key: str, *, as_json: bool) -> ExitCode:
    """Print what is known of a key; return 1 unless its result is there."""
    async with target.opened(imports=True):
        registry = _registry(target, name)
        places, named = called_with(registry, key)
        values = encoded(registry, await registry.find(*places, **named))
    code = ExitCode.FINE if values["state"] == "found" else ExitCode.FAILED
    if as_json:
        print_json({"exit_code": int(code), **values})
    else:
        told = values.get("value", values.get("error"))
        print_tables(f"{values['state']}: {told}" if told is not None else str(values["state"]))
    return code


async def add_key(target: Target, name: str, key: str, *, as_json: bool) -> ExitCode:
    """Start the work of a key, unless it was started; do not wait for it."""
    async with target.opened(imports=True):
        registry = _registry(target, name)
        places, named = called_with(registry, key)
        handle = await registry.add(*places, **named)
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
