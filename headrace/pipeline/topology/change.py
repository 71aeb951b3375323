"""Replaces one stage of a running topology."""

import asyncio
from collections.abc import Generator

from headrace.errors import GraphError
from headrace.pipeline.topology.graph import KIND_NAMES
from headrace.pipeline.topology.link import StageSpec, step_class
from headrace.pipeline.topology.run import Run


class Change:
    """A change of a topology. Await it to wait until it has taken effect: at once before the start."""

    def __init__(self, done: asyncio.Future[None] | None = None) -> None:
        self._done = done
        if done is not None:
            done.add_done_callback(_retrieve)

    def __await__(self) -> Generator[object, None, None]:
        """Wait for the change. Raises `NoProcess` when the stage has ended before."""
        if self._done is not None:
            yield from asyncio.shield(self._done).__await__()


def _retrieve(done: asyncio.Future[None]) -> None:
    """Retrieve the error, so that asyncio does not log it where the caller awaits no change."""
    if not done.cancelled():
        done.exception()


def check_replacement(former: StageSpec, new: StageSpec) -> None:
    """Raise `GraphError` if a stage cannot take the place of another one before the start."""
    if new.kind != former.kind:
        raise GraphError(new.name, f"is {KIND_NAMES[former.kind]}, and cannot be replaced by {KIND_NAMES[new.kind]}")
    problem = new.settings.concurrency.problem(new.first, has_timeout=new.settings.timeout_seconds is not None)
    if problem is not None:
        raise GraphError(new.name, problem)


def replace_stage(run: Run, former: StageSpec, new: StageSpec) -> Change:
    """Replace the callbacks of a running stage.

    The new ones take over subscriptions, counts, mail, buffered events and retained messages. Raises `GraphError` where
    edges would change, and `NoProcess` for a stage that has ended or is about to.
    """
    process = run.process(new.name)
    if step_class(new.first) is not type(process.step):
        raise GraphError(
            new.name,
            "cannot be replaced while it runs: a consumer supervisor is replaced by another one, and a stage with a "
            "`handle_demand` by another such stage",
        )
    for attribute, of_former, of_new in (
        ("outputs", former.first.outputs, new.first.outputs),
        ("side_outputs", former.first.side_outputs, new.first.side_outputs),
        ("emits_messages", former.first.emits_messages, new.first.emits_messages),
    ):
        if of_former != of_new:
            raise GraphError(
                new.name, f"cannot be replaced while it runs: its `{attribute}` {of_former!r} would be {of_new!r}"
            )
    return Change(process.replace(new.factory, new.first))
