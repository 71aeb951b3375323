"""Consumer supervisors: stages at the end of a graph that start one supervised child for every event."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from typing_extensions import override

from headrace.errors import MissingCallback, PermanentChild
from headrace.otp.process.mailbox import Reply
from headrace.otp.process.process import CURRENT
from headrace.otp.ref import Ref
from headrace.otp.supervision.child_spec import ChildCount, ChildInfo, ChildSpec
from headrace.otp.supervision.restart import MAX_RESTARTS, MAX_SECONDS, Restart
from headrace.pipeline.stage.consumer import Consumer, HandlingRuntime
from headrace.pipeline.stage.event_children import EventChildren, EventProcess

In = TypeVar("In")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class ConsumerSupervisorRuntime(HandlingRuntime):
    """The runtime's side of a consumer supervisor."""

    children: EventChildren


class ConsumerSupervisor(Consumer[In], Generic[In]):
    """A consumer that starts a child process for each event. Subclass it and write the work of a child in `run`.

    At most `max_demand` children of each subscription live at once. When `min_demand` of them have finished, the stage
    asks for the same number of events. A child that raises fails only its own event, which counts as
    `discarded{reason="error"}`; each class of error is logged once. With `restart = "transient"` the child first runs
    again, and still counts as alive. At more than `max_restarts` within `max_seconds`, over all children, the stage
    crashes with `RestartsExhausted`.

    The stage completes when its producers have completed and all children have ended. When it stops or crashes, the
    children have `StageSettings.shutdown_seconds` to end, and are cancelled then: their events are `discarded`, but
    after a crash messages are delivered again. Each child acknowledges the message it was started for.
    """

    restart: ClassVar[Restart] = "temporary"
    """Whether a child that raised is run again: "temporary" never, "transient" always. "permanent" is refused."""

    max_restarts: ClassVar[int] = MAX_RESTARTS
    max_seconds: ClassVar[float] = MAX_SECONDS

    _runtime: ConsumerSupervisorRuntime

    def run(self, event: In) -> Awaitable[object] | None:
        """Handle one event, in a process of its own. The return value is ignored.

        May be `async def`. All children share `self`, the supervisor, on one loop; its methods act on the supervisor:
        `self.stop()` ends all children.
        """
        raise MissingCallback(self, "run(self, event)")

    def child(self, event: In) -> ChildSpec[object]:
        """Return the spec of the child for one event, instead of writing `run`: a server or a supervisor.

        The event is handled when the child ends normally, as by `self.stop()`. The restart type is "temporary" or
        "transient". A child that does not start has failed, and so has a child whose name another living child has.
        """
        raise MissingCallback(self, "child(self, event)")

    def start_child(self, spec: ChildSpec[S]) -> Reply[Ref[S]]:
        """Start a child without an event; the reply is its reference, once its `init` is done.

        `await stage.ref.call(Fetches.start_child, spec)` raises `NameTaken`, `StartFailed` and `PermanentChild`. The
        stage completes only when this child has ended, too.
        """
        return self._runtime.children.start_child(spec)

    def terminate_child(self, name: str) -> Reply[None]:
        """Stop a child within its shutdown time; the reply comes when it has ended. Its event counts as cancelled.

        The call raises `NoChild` when there is no child of that name.
        """
        return self._runtime.children.terminate_child(name)

    def which_children(self) -> tuple[ChildInfo, ...]:
        """Return the living children, oldest first."""
        return tuple(self._runtime.children.children())

    def count_children(self) -> ChildCount:
        """Return the number of living children."""
        return self._runtime.children.counts()

    @override
    def handle_events(self, events: list[In]) -> None:
        raise MissingCallback(self, "run(self, event)")

    @override
    def fail(self, error: BaseException, count: int = 1) -> None:
        child = CURRENT.get(None)
        if isinstance(child, EventProcess):
            child.has_failed = True
        super().fail(error, count)


def gives_specs(callbacks: ConsumerSupervisor[object]) -> bool:
    """Return whether the children come from `child`, rather than from `run`."""
    return type(callbacks).child is not ConsumerSupervisor.child


def check_supervisor(first: ConsumerSupervisor[object]) -> None:
    """Raise an error for a class without `run` and `child`, and for children that would never finish."""
    if type(first).run is ConsumerSupervisor.run and not gives_specs(first):
        raise MissingCallback(first, "run(self, event)")
    if first.restart == "permanent":
        raise PermanentChild(type(first).__name__)
