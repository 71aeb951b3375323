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
from headrace.pipeline.stage.consumer import Consumer, ConsumerRuntime
from headrace.pipeline.stage.event_children import EventChildren, EventProcess

In = TypeVar("In")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class ConsumerSupervisorRuntime(ConsumerRuntime):
    """The runtime's side of a consumer supervisor."""

    children: EventChildren


class ConsumerSupervisor(Consumer[In], Generic[In]):
    """A consumer that starts a child process for each event. Subclass it and write in `run` what a child does.

    At most `max_demand` children of each subscription live at once; when `min_demand` of them have finished, as many
    events are asked for as have. A child that raises fails its own event and no other: it is counted
    `discarded{reason="error"}`, and logged once per class of error. With `restart = "transient"` it is run again first,
    and keeps its place meanwhile; one restart more than `max_restarts` within `max_seconds`, of all children together,
    and the supervisor ends with `RestartsExhausted`, as by a crash of its own.

    The stage completes when its producers have and all children have ended. When it is stopped, or crashes, they have
    `StageSettings.shutdown_seconds` to end, and are cancelled then: their events are `discarded`, or, after a crash
    and where events are messages, delivered again. Each child acknowledges the message it was started for.
    """

    restart: ClassVar[Restart] = "temporary"
    """Whether a child that raised is run again: "temporary" never, "transient" always. "permanent" is refused."""

    max_restarts: ClassVar[int] = MAX_RESTARTS
    max_seconds: ClassVar[float] = MAX_SECONDS

    _runtime: ConsumerSupervisorRuntime

    def run(self, event: In) -> Awaitable[object] | None:
        """Handle one event, in a process of its own; the return value is ignored.

        May be `async def`. `self` is the supervisor's, and all children share it, side by side on one loop; its words
        are the supervisor's, too: `self.stop()` ends all of them.
        """
        raise MissingCallback(self, "run(self, event)")

    def child(self, event: In) -> ChildSpec[object]:
        """Return the spec of the child for one event, instead of writing `run`: of a server, or another supervisor.

        It is done with the event when it ends normally, as by `self.stop()`. Its restart type is "temporary" or
        "transient". One that does not start has failed; so has one whose name a living child has.
        """
        raise MissingCallback(self, "child(self, event)")

    def start_child(self, spec: ChildSpec[S]) -> Reply[Ref[S]]:
        """Start one more child, which no demand counts; the reply is its reference, once its `init` is done.

        `await stage.ref.call(Fetches.start_child, spec)` raises `NameTaken`, `StartFailed`, and `PermanentChild`. The
        stage completes only when this child has ended, too.
        """
        return self._runtime.children.start_child(spec)

    def terminate_child(self, name: str) -> Reply[None]:
        """End a child within its shutdown time; the reply comes when it has. Its event is `discarded`, as cancelled.

        A call raises `NoChild` when there is none.
        """
        return self._runtime.children.terminate_child(name)

    def which_children(self) -> tuple[ChildInfo, ...]:
        """Return the living children, oldest first."""
        return tuple(self._runtime.children.children())

    def count_children(self) -> ChildCount:
        """Return how many children live."""
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
    """Refuse a class that does not say what its children do, or whose children would never finish."""
    if type(first).run is ConsumerSupervisor.run and not gives_specs(first):
        raise MissingCallback(first, "run(self, event)")
    if first.restart == "permanent":
        raise PermanentChild(type(first).__name__)
