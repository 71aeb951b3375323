"""`headrace validate` and `headrace schema`: check config files, and print their JSON Schema for editors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.config.check.config import Config, ConfiguredStage
from headrace.config.check.guarantees import guarantees
from headrace.config.files import load_files
from headrace.config.keys.pipeline import DeadLettersKeys, SubscriptionKeys
from headrace.config.text.findings import ConfigError
from headrace.console.cli.output import print_findings, print_json
from headrace.console.cli.streams import Color, ColorOption, ExitCode, JsonOption
from headrace.units import Rate, format_duration

if TYPE_CHECKING:
    from headrace.config.check.jobs import ConfiguredJobs
    from headrace.config.keys.jobs import QueueKeys


_DEFAULT_DEMAND = SubscriptionKeys(stage="").max_demand


def check_files(files: Sequence[str], *, imports: bool, as_json: bool, is_quiet: bool = False) -> ExitCode:
    """Check files; print a description of their pipelines, or all findings; return the exit code."""
    try:
        configs = load_files(files, imports=imports, runs_alone=True)
    except ConfigError as error:
        if as_json:
            print_json({"exit_code": int(ExitCode.CONFIG), "findings": error.as_json(), "files": []})
        else:
            print_findings(error)
        return ExitCode.CONFIG
    if as_json:
        described = [as_values(config) for config in configs]
        print_json({"exit_code": int(ExitCode.FINE), "findings": [], "files": described})
    elif not is_quiet:
        print("\n\n".join(as_text(config) for config in configs))
        if not imports:
            print("\nNo Python function or class was imported: run without --no-import to have them checked, too.")
    return ExitCode.FINE


def as_text(config: Config) -> str:
    """Return the description of a config: its stages with their edges and metrics, and the guarantee of each path."""
    where = "does not listen" if config.listen is None else f"listens on {config.listen.address}"
    lines = [f"{config.file}: fine. The pipeline {config.name} {where} and has {len(config.stages)} stages:"]
    names = max((len(stage.name) for stage in config.stages), default=0)
    types = max((len(stage.type.name) for stage in config.stages), default=0)
    for stage in config.stages:
        edges = f"  <- {', '.join(map(_edge, stage.keys.subscribe_to))}" if stage.keys.subscribe_to else ""
        lines.append(f"  {stage.name:{names}}  {stage.type.name:{types}}{edges}".rstrip())
        lines += [f"  {'':{names}}  exports {export.name}" for export in config.exports if export.stage == stage.name]
    lines += [f"  {guarantee}" for guarantee in guarantees(config)]
    if config.dead_letters is not None:
        lines.append(f"  dead letters are kept in {scheme_of(config.dead_letters.store)}")
    return "\n".join([*lines, *(jobs_text(config.jobs) if config.jobs else ())])


def jobs_text(jobs: "ConfiguredJobs") -> list[str]:
    """Return a line for each queue, worker and entry of the crontab; the store's URL may hold secrets."""
    lines = [f"  jobs are kept in {scheme_of(jobs.keys.store)}"]
    lines += [f"  queue {name}: {_queue(queue)}" for name, queue in jobs.keys.queues.items()]
    lines += [f"  worker {worker.name}: queue {worker.options.queue}" for worker in jobs.workers]
    lines += [f"  cron {entry.known_as}: {entry.schedule}, {entry.worker}" for entry in jobs.keys.cron]
    return lines


def _queue(keys: "QueueKeys") -> str:
    """Return the limit of one OS process, and the limits over all OS processes."""
    rate, at_once = keys.rate_limit, keys.global_limit
    shared = [] if at_once is None else [f"{at_once.count} at a time{_for_each(at_once.partition)}"]
    if rate is not None:
        burst = "" if rate.burst is None else f" (burst {rate.burst})"
        shared.append(f"{_rate(rate.rate)}{_for_each(rate.partition)}{burst}")
    over_all = f"; over all processes {', '.join(shared)}" if shared else ""
    return f"{keys.limit} at a time{over_all}"


def _rate(rate: Rate) -> str:
    """Return a rate as it is written in a config."""
    period = format_duration(rate.period_seconds)
    unit = period.removeprefix("1")
    return f"{rate.events:.15g}/{unit if unit.isalpha() else period}"


def _for_each(partition: str | None) -> str:
    return "" if partition is None else f" for each {partition}"


def scheme_of(url: str) -> str:
    """Return the scheme of a store's URL."""
    return url.partition(":")[0]


def as_values(config: Config) -> dict[str, object]:
    """Return the description as plain values. Options are left out: they may hold secrets."""
    return {
        "file": config.file,
        "pipeline": config.name,
        "listen": None if config.listen is None else str(config.listen.address),
        "stages": [_stage(stage) for stage in config.stages],
        "guarantees": [asdict(guarantee) for guarantee in guarantees(config)],
        "dead_letters": None if config.dead_letters is None else _dead_letters(config.dead_letters),
        "jobs": None if config.jobs is None else _jobs(config.jobs),
        "metrics": [{"metric": found.name, "kind": found.kind, "stage": found.stage} for found in config.exports],
    }


def _jobs(jobs: "ConfiguredJobs") -> dict[str, object]:
    return {
        "store": scheme_of(jobs.keys.store),
        "queues": {name: queue.limit for name, queue in jobs.keys.queues.items()},
        **_shared_limits(jobs.keys.queues),
        "workers": [{"worker": worker.name, "queue": worker.options.queue} for worker in jobs.workers],
        "cron": [
            {"name": entry.known_as, "schedule": entry.schedule, "timezone": entry.timezone, "worker": entry.worker}
            for entry in jobs.keys.cron
        ],
    }


def _shared_limits(queues: "Mapping[str, QueueKeys]") -> dict[str, object]:
    """Return the limits over all OS processes, for the queues that have one."""
    return {
        "rate_limits": {
            name: {
                "count": rate.rate.events,
                "period_seconds": rate.rate.period_seconds,
                "burst": rate.burst,
                "partition": rate.partition,
            }
            for name, queue in queues.items()
            if (rate := queue.rate_limit) is not None
        },
        "global_limits": {
            name: {"count": at_once.count, "partition": at_once.partition}
            for name, queue in queues.items()
            if (at_once := queue.global_limit) is not None
        },
    }


def _dead_letters(keys: DeadLettersKeys) -> dict[str, object]:
    bounds = {"max_age_seconds": keys.max_age, "max_size_bytes": keys.max_size, "max_events": keys.max_events}
    return {"store": scheme_of(keys.store), **bounds}


def _stage(stage: ConfiguredStage) -> dict[str, object]:
    edges = [
        {
            "stage": keys.stage,
            "max_demand": keys.max_demand,
            "min_demand": keys.max_demand // 2 if keys.min_demand is None else keys.min_demand,
            "cancel": keys.cancel,
        }
        for keys in stage.keys.subscribe_to
    ]
    return {"stage": stage.name, "type": stage.type.name, "kind": stage.type.kind, "subscribe_to": edges}


def _edge(keys: SubscriptionKeys) -> str:
    """Return the producer, and the options that differ from their defaults."""
    options = [] if keys.max_demand == _DEFAULT_DEMAND else [f"max_demand {keys.max_demand}"]
    if keys.min_demand is not None:
        options.append(f"min_demand {keys.min_demand}")
    return f"{keys.stage} ({', '.join(options)})" if options else keys.stage


app = typer.Typer(add_completion=False)


@app.command()
def schema(
    *,
    as_json: Annotated[  # noqa: ARG001 - all commands take it, and this one has no other form
        bool, typer.Option("--json", help="Accepted, as for all commands; the schema is JSON anyway.")
    ] = False,
) -> None:
    """Print the JSON Schema of config files, with every installed stage type.

    An editor completes and checks a config that names the file it was written to:
    # yaml-language-server: $schema=headrace.schema.json
    """
    from headrace.config.schema import schema as make_schema

    print_json(make_schema())


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(help="Config files that run side by side.", metavar="FILE...")],
    *,
    imports: Annotated[
        bool, typer.Option("--import/--no-import", help="Import the Python functions and classes that the files name.")
    ] = True,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when all is fine.")] = False,
    color: ColorOption = Color.AUTO,  # noqa: ARG001 - its callback has set it
) -> None:
    """Check config files, each alone and against each other.

    Prints every stage and edge when all files are fine; otherwise prints all findings and exits with 78.
    """
    raise typer.Exit(check_files(files, imports=imports, as_json=as_json, is_quiet=quiet))
