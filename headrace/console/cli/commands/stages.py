"""The commands `headrace stages ...`: list, pause, resume and change the stages of a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final
from urllib.parse import quote

import typer
from pydantic import ValidationError
from rich.console import RenderableType

from headrace.console.cli.output import UsageError
from headrace.console.cli.streams import JsonOption
from headrace.console.cli.tables import Result, run_command, table_of
from headrace.console.cli.target import RUN, RunClient, Target, UnexpectedResponse, UrlOption
from headrace.console.web.api.models import StageList, StageValues

_NUMBERS: Final = ("received", "sent", "failed", "buffered", "in flight", "at a time")


async def list_stages(target: Target) -> Result:
    """Return the stages of a run."""
    client = target.api()
    found = await client.ask("GET", "/api/stages")
    return Result(found, _parts(client, found))


def _parts(client: RunClient, found: object) -> Iterator[RenderableType]:
    """Yield the state and the table of stages. Raises `UnexpectedResponse`."""
    try:
        listed = StageList.model_validate(found)
    except ValidationError as error:
        raise UnexpectedResponse(client.url) from error
    yield f"the pipeline {listed.pipeline} is {listed.state}"
    yield table_of(_HEADINGS, map(_row, listed.stages), _NUMBERS)
    yield from (stage.stall for stage in listed.stages if stage.stall is not None)


async def pause_stages(target: Target, *, is_paused: bool) -> Result:
    """Pause or resume stages, one after another; an error leaves the stages before it paused or resumed."""
    names = target.arguments
    verb = "pause" if is_paused else "resume"
    if not names:
        raise UsageError("NAME", f"name the stages, as in headrace stages {verb} shop.yaml priced")
    client = target.api()
    stages = [await client.ask("POST", f"{_path(name)}/{verb}", {}) for name in names]
    return Result({"stages": stages}, [f"{verb}d: {', '.join(names)}"])


async def change_stage(target: Target, change: Mapping[str, object]) -> Result:
    """Change one stage: all requested changes are made, or none."""
    if len(target.arguments) != 1:
        raise UsageError("NAME", "name one stage, as in headrace stages change shop.yaml priced --concurrency 8")
    if not change:
        raise UsageError("NAME", "say what to change: --concurrency, --buffer-size or --demand")
    (name,) = target.arguments
    stage = await target.api().ask("PATCH", _path(name), change)
    return Result({"stages": [stage]}, [f"changed: {name}"])


def change_json(concurrency: int | None, buffer_size: str | None, demands: Sequence[str]) -> dict[str, object]:
    """Return a change as the JSON body of the API. Raises `UsageError`.

    >>> change_json(None, "none", ["visits=100:20"])
    {'buffer_size': None, 'demand': {'visits': {'max_demand': 100, 'min_demand': 20}}}
    """
    change: dict[str, object] = {} if concurrency is None else {"concurrency": concurrency}
    if buffer_size is not None:
        change["buffer_size"] = None if buffer_size == "none" else _whole("--buffer-size", buffer_size)
    if demands:
        change["demand"] = dict(map(_demand, demands))
    return change


def _demand(text: str) -> tuple[str, dict[str, int]]:
    producer, sign, bounds = text.rpartition("=")
    if not sign or not producer:
        raise UsageError("--demand", f"{text!r:.100} is none: write it as in visits=1000, or visits=1000:500")
    most, sign, least = bounds.partition(":")
    demand = {"max_demand": _whole("--demand", most)}
    return producer, {**demand, "min_demand": _whole("--demand", least)} if sign else demand


def _whole(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise UsageError(option, f"{text!r:.100} is no number: write a whole one, 0 or more")
    return int(text)


_DIGITS: Final = 10  # more are beyond any bound
_HEADINGS: Final = ("stage", "type", "state", *_NUMBERS, "asks for")


def _path(name: str) -> str:
    return f"/api/stages/{quote(name, safe='')}"


def _row(stage: StageValues) -> Sequence[object]:
    asks = ", ".join(f"{one.producer} {one.max_demand}:{one.min_demand}" for one in stage.subscriptions)
    state = f"{stage.state}, paused" if stage.is_paused else stage.state
    counts = stage.events_received, stage.events_sent, stage.events_failed, stage.buffer_events, stage.in_flight_events
    return (stage.name, stage.type or stage.kind, state, *(f"{count:,}" for count in counts), stage.concurrency, asks)


RunArguments = Annotated[
    list[str] | None, typer.Argument(help="The config file of the run (not with --url).", metavar="[FILE]")
]
StageNameArgument = Annotated[
    list[str] | None,
    typer.Argument(help="The config file of the run (not with --url), then the stages.", metavar="[FILE] NAME..."),
]
One = Annotated[
    list[str] | None,
    typer.Argument(help="The config file of the run (not with --url), then the stage.", metavar="[FILE] NAME"),
]
app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="List, pause, resume and change the stages of a run."
)


@app.command("list")
def list_(arguments: RunArguments = None, *, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """List stages with their state, counts and demand: headrace stages list FILE."""
    run_command(lambda: list_stages(Target.of(RUN, arguments, url, are_more=False)), as_json=as_json)


@app.command()
def pause(arguments: StageNameArgument = None, *, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Give stages no new events; work in progress continues: headrace stages pause FILE NAME..."""
    run_command(lambda: pause_stages(Target.of(RUN, arguments, url), is_paused=True), as_json=as_json)


@app.command()
def resume(arguments: StageNameArgument = None, *, url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Resume paused stages: headrace stages resume FILE NAME..."""
    run_command(lambda: pause_stages(Target.of(RUN, arguments, url), is_paused=False), as_json=as_json)


@app.command()
def change(  # noqa: PLR0913 - to typer each option is a parameter
    arguments: One = None,
    *,
    url: UrlOption = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Events that are handled at a time.", metavar="COUNT")
    ] = None,
    buffer_size: Annotated[
        str | None, typer.Option(help="Events that may be buffered, or none for no limit.", metavar="COUNT")
    ] = None,
    demand: Annotated[
        list[str] | None,
        typer.Option(help="How much to ask of a producer; may be given again.", metavar="PRODUCER=MAX[:MIN]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Change a stage while it runs, until the run ends: headrace stages change FILE NAME --concurrency 8."""
    run_command(
        lambda: change_stage(
            Target.of(RUN, arguments, url),
            change_json(concurrency, buffer_size, demand or []),
        ),
        as_json=as_json,
    )
