"""Named outputs and side outputs become stages; intended consumers, and the events that were not delivered to them.

Every stage with an input has the side output `errors`, for events that failed for good. `ProducerConsumer.side_outputs`
names others.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Final

from typing_extensions import override

from headrace.errors import EventUndelivered, GraphError, message_of
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.dispatchers.partition import OutputsDispatcher, PartitionDispatcher, bare
from headrace.pipeline.failure import DeadLetterHandler, FailedEvent
from headrace.pipeline.flow.accumulator import DemandAccumulator
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Message
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.graph import ERRORS, output_name, suggestion
from headrace.pipeline.topology.link import Edges, StageSpec
from headrace.telemetry.events import LOG


class NamedOutputStage(ProducerConsumer[object, object]):
    """Emits the events of one output of another stage, without the name of that output."""

    per_event = True
    one_to_one = True

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        return list(map(bare, events))


def with_named_outputs(specs: Mapping[str, StageSpec]) -> dict[str, StageSpec]:
    """Return the stages, and one more for each named output to which a stage subscribes.

    Each output has the dispatcher that the settings of its stage name. Raises `GraphError` for an unknown or missing
    output, and for invalid names.
    """
    found: dict[str, StageSpec] = {}
    taken: dict[tuple[str, str], list[SubscribeTo]] = {}
    for spec in specs.values():
        for to in spec.subscribe_to:
            output = _output(spec.name, to, specs)
            if output is not None:
                taken.setdefault((to.producer, output), []).append(to)
        found[spec.name] = replace(spec, subscribe_to=tuple(map(source_of, spec.subscribe_to)))
    for spec in specs.values():
        _check(spec, specs)
        if spec.first.outputs:
            dispatcher = partial(OutputsDispatcher, tuple(spec.first.outputs))
            found[spec.name].settings = replace(spec.settings, dispatcher=dispatcher)
    for (stage, output), targets in taken.items():
        found[output_name(stage, output)] = _output_spec(specs[stage], output, targets)
    return found


def source_of(to: SubscribeTo) -> SubscribeTo:
    """Return a subscription to an output as one to the stage of that output."""
    return to if to.output is None else replace(to, producer=output_name(to.producer, to.output), output=None)


def _output(consumer: str, to: SubscribeTo, specs: Mapping[str, StageSpec]) -> str | None:
    """Return the output that a subscription names; None where the stage is unknown, or has no named outputs."""
    producer = specs.get(to.producer)
    if producer is None:
        return None
    why = output_problem(to.output, producer.first.outputs, producer.first.side_outputs)
    if why is not None:
        raise GraphError(consumer, f"cannot subscribe to {to.producer!r}: {why}")
    return to.output


def output_problem(output: str | None, names: Sequence[str], sides: Sequence[str] = ()) -> str | None:
    """Return why a stage with the outputs `names` and the side outputs `sides` has no such output; None if it has.

    >>> output_problem("europ", ["europe", "us"])
    "it has no output 'europ'; did you mean 'europe'?"
    """
    if output is None:
        return f"it has several outputs: say which, one of {', '.join(names)}" if names else None
    if output in names:
        return None
    near = get_close_matches(output, [*names, *sides], 1)
    if near:
        return f"it has no output {output!r}; did you mean {near[0]!r}?"
    return f"it has no output {output!r}: it has {', '.join([*names, *sides, f'{ERRORS} (what it gives up)'])}"


def _check(spec: StageSpec, specs: Mapping[str, StageSpec]) -> None:
    names: Sequence[object] = [*spec.first.outputs, *spec.first.side_outputs]
    for name in names:
        if not isinstance(name, str) or name in ("", ERRORS) or names.count(name) > 1:
            raise GraphError(spec.name, f"has an output {name!r}: each needs a name of its own, and not {ERRORS!r}")
        taken = output_name(spec.name, name)
        if taken in specs and specs[taken].side_of is None:
            raise GraphError(spec.name, f"has an output {name!r}, and there is a stage {taken!r}: rename one of them")


def _output_spec(of: StageSpec, output: str, targets: Sequence[SubscribeTo]) -> StageSpec:
    """Return the stage of an output. It asks for as much as its consumer with the highest `max_demand`."""
    most = max(to.max_demand for to in targets)
    source = SubscribeTo(of.name, max_demand=max(1, most), partition=output)
    settings = StageSettings(of.settings.dispatcher, dead_letters=of.settings.dead_letters)
    return StageSpec(output_name(of.name, output), NamedOutputStage, NamedOutputStage(), (source,), settings)


def with_side_outputs(specs: Mapping[str, StageSpec]) -> dict[str, StageSpec]:
    """Return the stages, and one more for each side output to which a stage subscribes.

    Raises `GraphError` for the `errors` output of an unknown stage or of a producer, and for a name that is taken.
    """
    found: dict[str, StageSpec] = {}
    for spec in specs.values():
        found[spec.name] = replace(spec, subscribe_to=tuple(_source(to, specs) for to in spec.subscribe_to))
    for spec in specs.values():
        for to in spec.subscribe_to:
            if _is_side(to, specs):
                side = _side_spec(spec.name, to, specs)
                found.setdefault(side.name, side)
    return found


def _is_side(to: SubscribeTo, specs: Mapping[str, StageSpec]) -> bool:
    producer = specs.get(to.producer)
    return to.output == ERRORS or (producer is not None and to.output in producer.first.side_outputs)


def _source(to: SubscribeTo, specs: Mapping[str, StageSpec]) -> SubscribeTo:
    if to.output is None or not _is_side(to, specs):
        return to
    return replace(to, producer=output_name(to.producer, to.output), output=None)


def _side_spec(consumer: str, to: SubscribeTo, specs: Mapping[str, StageSpec]) -> StageSpec:
    stage, output = to.producer, to.output or ""
    of, name = specs.get(stage), output_name(stage, output)
    if of is None:
        raise GraphError(consumer, f"subscribes to {stage!r}, which does not exist; {suggestion(stage, specs)}")
    if of.kind == "producer":
        raise GraphError(consumer, f"subscribes to the errors of {stage!r}, which is a source and handles no events")
    if name in specs:
        raise GraphError(stage, f"has an output {output!r}, and there is a stage {name!r}: rename one of them")
    dispatcher = "broadcast" if of.settings.dispatcher == "broadcast" else "demand"
    settings = StageSettings(dispatcher, dead_letters=of.settings.dead_letters)
    return StageSpec(name, Inbox, Inbox(), (), settings, side_of=stage, side=output)


NOBODY: Final = "{}:out"
"""The stage of a dead letter without an intended consumer; no stage of a config has such a name."""


def intended_consumers(stage_output: StageOutput, edges: Edges, event: object) -> list[str]:
    """Return the intended consumers of an event: one of them, or with a broadcast each that selects it.

    The intended consumer of an event of a named output is the stage of that output, even where the output has no
    subscriber. `edges` are all edges since the start.
    """
    stage = stage_output.counts.stage
    targets = {edge.consumer: edge.to for edge in edges.from_producer(stage)}
    dispatcher, nobody = stage_output.dispatcher, NOBODY.format(stage)
    if isinstance(dispatcher, DemandAccumulator):
        dispatcher = dispatcher.inner
    if isinstance(dispatcher, PartitionDispatcher):
        partition = dispatcher.partition_of(event)
        found = [name for name, to in targets.items() if to.partition == partition]
        if isinstance(dispatcher, OutputsDispatcher) and partition is not None:
            nobody = output_name(stage, str(partition))
    else:
        found = [name for name, to in targets.items() if _selects(to, event)]
    return (found[:1] if dispatcher.can_redeliver else found) or [nobody]


def _selects(to: SubscribeTo, event: object) -> bool:
    try:
        return to.selector is None or to.selector(event)
    except BaseException:  # noqa: BLE001 - a selector of a user may raise anything; the event is kept
        return True


class UndeliveredEvents:
    """Stores undelivered plain events as dead letters. Undelivered messages fail, and their sources send them again."""

    def __init__(
        self,
        dead_letter_handler: DeadLetterHandler,
        scheduler: Scheduler,
        intended: Callable[[str, object], list[str]],
    ) -> None:
        """`intended` returns the intended consumers of an event that a stage has emitted."""
        self._dead_letter_handler = dead_letter_handler
        self._scheduler = scheduler
        self._intended = intended
        self._events: list[tuple[StageCounts, FailedEvent, bool]] = []
        self.kept_events = 0
        self._task: asyncio.Task[None] | None = None

    def undelivered(self, counts: StageCounts, events: Sequence[object], reason: str, *, is_output: bool) -> None:
        """Store events for the stage that had received them, or for the intended consumers of an output."""
        error = EventUndelivered(counts.stage, reason)
        for event in events:
            if not isinstance(event, Message):
                consumers = self._intended(counts.stage, event) if is_output else [counts.stage]
                self._events += [
                    (counts, FailedEvent(consumer, bare(event), error, 1, {}), position == 0)
                    for position, consumer in enumerate(consumers)
                ]
        if self._events and self._task is None:
            self._task = self._scheduler.start_task(self._write(), copy_context(), "undelivered events")

    async def _write(self) -> None:
        while self._events:
            events, self._events = self._events, []
            try:
                await self._dead_letter_handler([failed for _, failed, _ in events])
            except Exception as error:  # noqa: BLE001 - a store may raise anything; the events are counted as lost
                LOG.error("%d undelivered events could not be stored: %s", len(events), message_of(error))
            else:
                for counts, _, is_first in events:
                    counts.dead_lettered += 1
                    self.kept_events += is_first  # several consumers of one event have a dead letter each
        self._task = None

    async def written(self) -> None:
        """Wait until all undelivered events are stored, or counted as lost."""
        while self._task is not None:
            await asyncio.wait({self._task})
