"""Emits each event by one of several outputs: the first whose expression is true."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field, model_validator
from typing_extensions import override

from headrace.pipeline.dispatchers.dispatcher import UNROUTED
from headrace.pipeline.dispatchers.partition import Output
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.errors import BadEvent
from headrace.stages.functions import apply_each
from headrace.stages.options import ExpressionField, Options, StageType, refused

FAIL: Final = "fail"
DISCARD: Final = "discard"

_RESERVED: Final = (FAIL, DISCARD, "errors")

OutputName = Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=50)]


class RouteOptions(Options):
    """The outputs, and which events they emit."""

    outputs: dict[OutputName, ExpressionField] = Field(
        min_length=1, description="An expression for each output; an event goes to the first one that is true."
    )
    default: OutputName = Field(
        default=FAIL,
        description="For the other events: `fail`, `discard`, or the name of another output.",
    )

    @model_validator(mode="after")
    def _has_names(self) -> "RouteOptions":
        for name in self.outputs:
            if name in _RESERVED:
                raise refused("bad_value", f"no output can be called {name}: give it another name", path=["outputs"])
        if self.default == "errors":
            raise refused("bad_value", "must not be called errors", is_predicate=True, path=["default"])
        return self


class Route(ProducerConsumer[object, Output], StageType):
    """Passes events on unchanged and in order, each by the first output whose expression is true.

    Other events fail, are discarded as `unrouted`, or go to another output, by `default`. An event for which an
    expression raises before one is true fails alone.
    """

    Options = RouteOptions
    per_event = True
    known_discards = (UNROUTED,)

    def __init__(self, options: RouteOptions) -> None:
        self._wants = tuple(options.outputs.items())
        self._default = options.default
        names = (*options.outputs, *(() if options.default in (FAIL, DISCARD) else (options.default,)))
        self.outputs = tuple(dict.fromkeys(names))

    @override
    def handle_events(self, events: list[object]) -> list[Output]:
        try:
            names = self._outputs_of(events)
        except Exception:  # noqa: BLE001 - the events are read one by one then, and only those that raise again fail
            return [output for made in self.handle_each(events) for output in made]
        if self._default not in (FAIL, DISCARD):
            return list(map(Output, names, events))
        made = [Output(name, event) for name, event in zip(names, events, strict=True) if name != DISCARD]
        self._discarded(len(events) - len(made))
        return made

    @override
    def handle_each(self, events: list[object]) -> list[Sequence[Output]]:
        made, failed = apply_each(self._output_of, events, self.fail_at)
        self._discarded(made.count(()) - failed)
        return made

    def _discarded(self, count: int) -> None:
        if count:
            self.discard(count, UNROUTED)

    def _outputs_of(self, events: list[object]) -> list[str]:
        """Return the output of each event, column by column. Raises when one event fails."""
        names = [self._default] * len(events)
        rest = list(range(len(events)))
        for name, wants in self._wants:
            wanted = wants.column([events[position] for position in rest])
            for position, is_wanted in zip(rest, wanted, strict=True):
                if is_wanted:
                    names[position] = name
            rest = [position for position, is_wanted in zip(rest, wanted, strict=True) if not is_wanted]
        if rest and self._default == FAIL:
            raise self._unwanted()
        return names

    def _output_of(self, event: object) -> Sequence[Output]:
        for name, wants in self._wants:
            if wants(event):
                return (Output(name, event),)
        if self._default == FAIL:
            raise self._unwanted()
        return () if self._default == DISCARD else (Output(self._default, event),)

    def _unwanted(self) -> BadEvent:
        return BadEvent(f"no output of the route wants the event ({', '.join(self.outputs)}), and it has no `default`")
