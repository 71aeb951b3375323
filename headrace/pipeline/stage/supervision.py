"""What others may do with the children of a consumer supervisor, beside its events: start, end, list and count them."""

import asyncio
from dataclasses import replace
from typing import Final, TypeVar, cast

from headrace.errors import NameTaken, NoChild, PermanentChild
from headrace.otp.process.mailbox import Reply
from headrace.otp.process.process import Process, State
from headrace.otp.ref import Ref
from headrace.otp.supervision.child_spec import ChildCount, ChildInfo, ChildSpec, ChildState
from headrace.pipeline.stage.children import Children, Owner, Slot

S = TypeVar("S")

_STATES: Final[dict[State, ChildState]] = {
    State.NEW: "starting",
    State.STARTING: "starting",
    State.RUNNING: "running",
    State.STOPPING: "stopping",
    State.CRASHED: "restarting",
    State.ENDED: "ended",
}


class Supervision:
    """The words of `ConsumerSupervisor` behind its own. None of them waits: replies come when it is so."""

    def __init__(self, owner: Owner, children: Children) -> None:
        self._owner = owner
        self._children = children

    def begin(self, spec: ChildSpec[object], slot: Slot) -> None:
        """Start a child as a spec says; `slot` says for what. Raises `NameTaken` and `PermanentChild`."""
        children = self._children
        named = spec if spec.name is not None else replace(spec, name=children.new_name())
        slot.process, slot.restart, slot.kind = named.make(self._owner.scheduler), spec.restart, spec.kind
        children.start(slot)

    def start(self, spec: ChildSpec[S]) -> "Reply[Ref[S]]":
        """Start a child that no demand counts."""
        reply: Reply[Ref[S]] = Reply()
        slot = Slot(self._owner.scheduler.time())
        try:
            self.begin(cast("ChildSpec[object]", spec), slot)
        except (NameTaken, PermanentChild) as error:
            reply.fail(error)
            return reply
        process = cast("Process[S]", slot.process)

        def answer(started: "asyncio.Future[None]") -> None:
            error = started.exception()
            if error is None:
                reply.set(Ref(process))
            else:
                reply.fail(error)

        process.started.add_done_callback(answer)
        return reply

    def terminate(self, name: str) -> Reply[None]:
        """Have a child end within its shutdown time."""
        reply: Reply[None] = Reply()
        slot = self._children.slots.get(name)
        if slot is None:
            reply.fail(NoChild(self._owner.name, name, self._children.slots))
            return reply
        slot.process.buried.add_done_callback(lambda _: reply.set(None))
        self._children.stop(slot)
        return reply

    def which(self) -> tuple[ChildInfo, ...]:
        """Return the children, oldest first."""
        return tuple(_info(slot) for slot in self._children.slots.values())

    def count(self) -> ChildCount:
        """Return how many children there are."""
        slots = self._children.slots.values()
        active = sum(slot.process.state in (State.STARTING, State.RUNNING) for slot in slots)
        supervisors = sum(slot.kind == "supervisor" for slot in slots)
        return ChildCount(len(slots), active, supervisors, len(slots) - supervisors)


def _info(slot: Slot) -> ChildInfo:
    state = _STATES[slot.process.state]
    ref = None if state == "restarting" else Ref(cast("Process[object]", slot.process))
    return ChildInfo(slot.process.name, ref, slot.kind, slot.restart, state)
