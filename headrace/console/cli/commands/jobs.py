"""`headrace jobs`: lists, shows, enqueues and changes jobs, in the store of a config or of a URL."""

from typing import Annotated

import typer

Shown = Annotated[
    list[str] | None,
    typer.Argument(help="The config file (not with --store), then numbers of jobs.", metavar="[FILE] NUMBER..."),
]
New = Annotated[
    list[str] | None,
    typer.Argument(
        help="The config file (not with --store), then the worker and its arguments.",
        metavar="[FILE] WORKER [NAME=VALUE]...",
    ),
]
Asked = Annotated[
    list[str] | None,
    typer.Argument(
        help="The config file (not with --store), then arguments that the jobs have: args.region=eu.",
        metavar="[FILE] [args.NAME=VALUE]...",
    ),
]
Changed = Annotated[
    list[str] | None,
    typer.Argument(
        help="The config file (not with --store), then numbers of jobs, or arguments that they have: args.region=eu.",
        metavar="[FILE] [NUMBER | args.NAME=VALUE]...",
    ),
]
Store = Annotated[str | None, typer.Option(help="The store's URL, instead of a config file.", metavar="URL")]
States = Annotated[
    list[str] | None, typer.Option("--state", help="Only jobs in this state; may be given again.", metavar="STATE")
]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="Only jobs of this queue.", metavar="QUEUE")]
Workers = Annotated[list[str] | None, typer.Option("--worker", help="Only jobs of this worker.", metavar="WORKER")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Only jobs with this tag.", metavar="TAG")]
Args = Annotated[
    list[str] | None,
    typer.Option("--args", help="The same as args.customer.id=7: customer.id=7.", metavar="NAME=VALUE"),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, however many they are.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]

app = typer.Typer(no_args_is_help=True, help="List, show, enqueue and change jobs.")


@app.command("list")
def list_(  # noqa: PLR0913 - to typer each option is a parameter
    words: Asked = None,
    *,
    store: Store = None,
    state: States = None,
    queue: Queues = None,
    worker: Workers = None,
    tag: Tags = None,
    args: Args = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.", metavar="COUNT")] = 50,
    before: Annotated[
        int | None, typer.Option(help="Only jobs before this number: the next page.", metavar="NUMBER")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first: headrace jobs list FILE."""
    from headrace.console.cli.commands.job_work import list_jobs
    from headrace.console.cli.job_selection import Selection
    from headrace.console.cli.job_target import Target, run_command

    selection = Selection(state or (), queue or (), worker or (), tag or (), args or ())
    raise typer.Exit(
        run_command(
            lambda: list_jobs(Target.of(words or [], store), selection, limit, before, as_json=as_json),
            as_json=as_json,
        )
    )


@app.command()
def show(words: Shown = None, *, store: Store = None, as_json: AsJson = False) -> None:
    """Show all there is about jobs: headrace jobs show FILE NUMBER..."""
    from headrace.console.cli.commands.job_work import show_jobs
    from headrace.console.cli.job_target import Target, run_command

    raise typer.Exit(run_command(lambda: show_jobs(Target.of(words or [], store), as_json=as_json), as_json=as_json))


@app.command()
def enqueue(  # noqa: PLR0913 - to typer each option is a parameter
    words: New = None,
    *,
    store: Store = None,
    queue: Annotated[str | None, typer.Option(help="The queue; the worker's without.", metavar="QUEUE")] = None,
    delay: Annotated[str | None, typer.Option("--in", help="How long it waits, as in 10m.", metavar="TIME")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="0 is the most urgent.", metavar="0-9")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag; may be given again.", metavar="TAG")] = None,
    as_json: AsJson = False,
) -> None:
    """Enqueue a job: headrace jobs enqueue FILE WORKER sku=abc number=7.

    With a FILE the worker and its arguments are checked first.
    """
    from headrace.console.cli.commands.job_work import NewWords, enqueue_job
    from headrace.console.cli.job_target import Target, run_command

    new = NewWords(queue, delay, priority, tuple(tag or ()))
    raise typer.Exit(
        run_command(lambda: enqueue_job(Target.of(words or [], store), new, as_json=as_json), as_json=as_json)
    )


def _change(name: str, text: str) -> None:
    """Add a command that changes jobs: by their numbers, or all that a filter fits."""

    def command(  # noqa: PLR0913 - to typer each option is a parameter
        words: Changed = None,
        *,
        store: Store = None,
        state: States = None,
        queue: Queues = None,
        worker: Workers = None,
        tag: Tags = None,
        args: Args = None,
        yes: Yes = False,
        as_json: AsJson = False,
    ) -> None:
        from headrace.console.cli.commands.job_work import VERBS, change_jobs
        from headrace.console.cli.job_selection import Selection
        from headrace.console.cli.job_target import Target, run_command

        selection = Selection(state or (), queue or (), worker or (), tag or (), args or ())
        raise typer.Exit(
            run_command(
                lambda: change_jobs(Target.of(words or [], store), VERBS[name], selection, is_yes=yes, as_json=as_json),
                as_json=as_json,
            )
        )

    app.command(name, help=f"{text}: headrace jobs {name} FILE NUMBER..., or by a filter.")(command)


_change("retry", "Run jobs again that failed, were cancelled or wait; completed ones with --state completed")
_change("cancel", "Call off jobs that have not ended, running ones too")
_change("delete", "Delete jobs that do not run")
_change("run-now", "Make jobs available that wait for their time")
