"""`headrace worker`: runs the jobs of modules without a config file, until a signal ends it."""

import json
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from headrace.config.files import load_text
from headrace.console.cli.commands.run import LogFormatOption, LogLevelOption, RunOptions, run_config
from headrace.console.cli.streams import Color, ColorOption

QUEUE_LIMIT: Final = 10
"""The limit of a queue that is given without one."""


def config_text(store: str, modules: list[str], queues: dict[str, int], listen: str) -> str:
    """Return the config that the arguments stand for; JSON is YAML, too."""
    return json.dumps(
        {
            "name": "worker",
            "listen": listen,
            "jobs": {"store": store, "modules": modules, "queues": queues},
        }
    )


def queues_of(values: Iterable[str]) -> dict[str, int]:
    """Return limits by queue of values such as `default=10` or `default`. Raises typer.BadParameter."""
    queues: dict[str, int] = {}
    for value in values:
        name, equals, limit = value.partition("=")
        if not name or (equals and not (limit.isdecimal() and limit.isascii())):
            what = f"{value!r} names no queue: write NAME=LIMIT, as in default=10"
            raise typer.BadParameter(what, param_hint="--queue")
        queues[name] = int(limit) if equals else QUEUE_LIMIT
    return queues or {"default": QUEUE_LIMIT}


app = typer.Typer(add_completion=False)


@app.command()
def worker(  # noqa: PLR0913 - to typer each option is a parameter
    modules: Annotated[list[str], typer.Argument(help="The modules of the workers.", metavar="MODULE")],
    *,
    store: Annotated[str, typer.Option(help="The store's URL, such as sqlite:///shop.db.", metavar="URL")],
    queue: Annotated[
        list[str] | None,
        typer.Option(
            help="A queue, and how many of its jobs run at a time; once for each queue.",
            metavar="NAME=LIMIT",
            show_default="default=10",
        ),
    ] = None,
    listen: Annotated[str, typer.Option(help="Answer /ready and /metrics at this address.", metavar="ADDRESS")] = "off",
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
    color: ColorOption = Color.AUTO,  # noqa: ARG001 - its callback has set it
) -> None:
    """Run the jobs of modules, without a config file.

    It runs until SIGTERM, SIGINT or a lost terminal drains it; a second signal
    ends it at once. The modules are found from the current folder. For cron
    entries, limits of queues and stages write a config, and `headrace run` it.

    Exit codes: 0 fine, 1 the run failed, 2 usage, 78 a module, the store or
    a queue is wrong.
    """
    text = config_text(store, modules, queues_of(queue or ()), listen)
    level = log_level or "info"
    options = RunOptions("headrace worker", log_level=level, log_format=log_format, is_forever=True)
    raise typer.Exit(run_config(options, lambda: load_text(text)))
