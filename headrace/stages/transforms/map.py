"""Makes one event of each event: by a Python function, or by setting fields in a copy."""

import inspect
from collections.abc import Awaitable
from typing import ClassVar, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import Function, apply_each, await_each, evaluate_each
from headrace.stages.options import FunctionField, refused
from headrace.stages.transforms.set_fields import MergeField


class MapOptions(BaseModel):
    """What to make of an event: `call` or `set`, and never both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    call: FunctionField | None = Field(
        default=None, description="A Python function, module:function, def or async def: one event in, one out."
    )
    set: MergeField | None = Field(
        default=None, description="Fields to set in a copy of the event, each by an expression that reads the event."
    )

    @model_validator(mode="after")
    def _has_one(self) -> "MapOptions":
        if (self.call is None) == (self.set is None):
            raise refused("bad_value", "a map needs `call:` or `set:`, and not both")
        return self


class Map(ProducerConsumer[object, object]):
    """Emits one event for each, in their order. What raises discards its event alone, and no event is tried twice."""

    Options: ClassVar[type[BaseModel]] = MapOptions
    per_event: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def __init__(self, options: MapOptions) -> None:
        self._set = options.set
        self._call = options.call
        self._is_async = inspect.iscoroutinefunction(options.call)

    def awaits(self) -> bool:
        """Whether the function is to be awaited."""
        return self._is_async

    def offload(self) -> Function | None:
        """Return the function, which an OS process finds by its name."""
        return self._call

    def handle_events(self, events: list[object]) -> list[object] | Awaitable[list[object]]:
        """Return what comes of the events."""
        if self._set is not None:
            return evaluate_each(self._set, events, self.fail_at)
        call = cast("Function", self._call)
        if self._is_async:
            return await_each(call, events, self.fail_at)
        outputs = apply_each(call, events, self.fail_at)
        if outputs and inspect.isawaitable(outputs[0]):
            self._is_async = True  # a plain function that returns what an async one returned
            return await_each(_itself, outputs, self.fail_at)
        return outputs


def _itself(output: object) -> object:
    return output
