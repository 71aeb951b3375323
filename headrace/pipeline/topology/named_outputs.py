"""The named outputs of a stage: each that is taken is a stage of its own, to which others subscribe."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial

from headrace.errors import GraphError
from headrace.pipeline.dispatchers.partition import OutputsDispatcher, bare
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.link import StageSpec
from headrace.pipeline.topology.output_names import ERRORS, output_name, side_names


class OneOutput(ProducerConsumer[object, object]):
    """Passes on what goes by one output of another stage, without its name."""

    per_event = True
    one_to_one = True

    def handle_events(self, events: list[object]) -> list[object]:
        """Return the bare events."""
        return list(map(bare, events))


def with_named_outputs(specs: Mapping[str, StageSpec]) -> dict[str, StageSpec]:
    """Return the stages, and one more for each named output to which a stage subscribes.

    The dispatcher that was said of a stage with several outputs is that of each of them. Raises `GraphError` for an
    output that does not exist, or that is not said, and for names that cannot be.
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
    """Return a subscription to an output as one to the stage that the output is."""
    return to if to.output is None else replace(to, producer=output_name(to.producer, to.output), output=None)


def _output(consumer: str, to: SubscribeTo, specs: Mapping[str, StageSpec]) -> str | None:
    """Return which output a subscription is about; None where the stage does not exist, or has no names for its own."""
    producer = specs.get(to.producer)
    if producer is None:
        return None
    why = output_fault(to.output, producer.first.outputs, side_names(producer.first))
    if why is not None:
        raise GraphError(consumer, f"cannot subscribe to {to.producer!r}: {why}")
    return to.output


def output_fault(output: str | None, names: Sequence[str], sides: Sequence[str] = ()) -> str | None:
    """Return what is wrong with the output that a subscription names; the stage has `names`, and beside them `sides`.

    >>> output_fault("europ", ["europe", "us"])
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
    names: Sequence[object] = [*spec.first.outputs, *side_names(spec.first)]
    for name in names:
        if not isinstance(name, str) or name in ("", ERRORS) or names.count(name) > 1:
            raise GraphError(spec.name, f"has an output {name!r}: each needs a name of its own, and not {ERRORS!r}")
        taken = output_name(spec.name, name)
        if taken in specs and specs[taken].side_of is None:
            raise GraphError(spec.name, f"has an output {name!r}, and there is a stage {taken!r}: rename one of them")


def _output_spec(of: StageSpec, output: str, targets: Sequence[SubscribeTo]) -> StageSpec:
    """Return the stage for an output: it asks for as much as the greediest of those who take it, and passes it on."""
    most = max(to.max_demand for to in targets)
    source = SubscribeTo(of.name, max_demand=max(1, most), partition=output)
    settings = StageSettings(of.settings.dispatcher, dead_letters=of.settings.dead_letters)
    return StageSpec(output_name(of.name, output), OneOutput, OneOutput(), (source,), settings)
