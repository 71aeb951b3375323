"""A simple model of every queue and buffer: a line, which events join at the end and leave from the head."""

from collections.abc import Sequence

from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.message import Message
from headrace.pipeline.topology.run import Run
from tests.fakes.laws import check_subscription, inlet_of, outlet_of
from tests.fakes.machine_notes import Event
from tests.fakes.machine_plans import MOST_DEMAND, Plan
from tests.fakes.machine_stages import GATHERED


def unwrapped(events: Sequence[object]) -> list[Event]:
    """Return the events of a batch, messages or not."""
    found = [event.data if isinstance(event, Message) else event for event in events]
    return [event for event in found if isinstance(event, Event)]


def line_of(subscription: Subscription, inlet: StageInput) -> list[Event]:
    """Return what a consumer has not done with yet: the batch in hand, and what waits behind it."""
    line: list[object] = []
    if inlet.current_batch is not None and inlet.source is subscription:
        line += inlet.current_batch
    offset = subscription.offset
    for events, _ in subscription.queue:
        if events is not None:
            line += events[offset:]
            offset = 0
    return unwrapped(line)


def buffered(outlet: StageOutput) -> list[Event]:
    """Return what waits in a stage's buffer."""
    return unwrapped([event for chunk in outlet.buffer._chunks for event in chunk.events][outlet.buffer._offset :])


def check_order(before: list[Event], after: list[Event]) -> None:
    """Assert that of what stood in a line, what is still there stands in the same order."""
    places = {event: place for place, event in enumerate(before)}
    still = [places[event] for event in after if event in places]
    assert still == sorted(still), (before, after)
    assert len(set(after)) == len(after), after


def check_line(before: list[Event], after: list[Event]) -> None:
    """Assert that a line kept its order, and that whoever joined it did so at its end."""
    check_order(before, after)
    known = set(before)
    has_joined = [event not in known for event in after]
    assert has_joined == sorted(has_joined), (before, after)


class Lines:
    """What stood in each line when it was last looked at, and how much each consumer had seen by then."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self._run = run
        self._plan = plan
        self._waiting: dict[tuple[str, str], list[Event]] = {}
        self._lines: dict[Subscription, list[Event]] = {}
        self._buffers: dict[str, list[Event]] = {}
        self._taken_back = dict.fromkeys(plan.stages, 0)
        self._coming: dict[Subscription, int] = {}
        self._seen = dict.fromkeys(plan.stages, 0)

    def forget(self, consumer: str, producer: str) -> None:
        """Begin a new line: what waited has gone back to the producer, and may come again in any order."""
        self._waiting.pop((consumer, producer), None)

    def check(self) -> None:
        """Assert that every subscription and every buffer kept its order since the last time."""
        for name, process in self._run.processes.items():
            outlet, inlet = outlet_of(process), inlet_of(process)
            if outlet is not None:
                after = buffered(outlet)
                assert len(after) == outlet.buffer.size
                self._check_buffer(name, after)
            if inlet is not None and not self._plan.stages[name].has_children:
                self._check_windows(inlet, MOST_DEMAND + GATHERED if self._plan.stages[name].gathers else 0)
            if inlet is not None and self._plan.stages[name].keeps_order:
                self._check_consumer(name, inlet)

    def _check_buffer(self, name: str, after: list[Event]) -> None:
        """What waited and waits yet keeps its order, unless it was sent in between, and consumers left one by one."""
        edges = self._run.edges.from_producer(name)
        taken_back = sum(edge._taken_back + sum(one.taken_back for one in edge._subscriptions) for edge in edges)
        has_gone_out = taken_back != self._taken_back[name]
        check_order([] if has_gone_out else self._buffers.get(name, []), after)
        self._buffers[name] = after
        self._taken_back[name] = taken_back

    def _check_windows(self, inlet: StageInput, held: int) -> None:
        """No more is coming than was asked for; what was beyond a bound that was lowered only becomes less.

        At most `held` events come again beside them, which a stage had held when it crashed.
        """
        for subscription in inlet.subscriptions:
            coming = subscription.window.outstanding
            check_subscription(
                subscription, inlet, max(self._coming.get(subscription, 0), subscription.window.max_demand) + held
            )
            self._coming[subscription] = coming

    def _check_consumer(self, name: str, inlet: StageInput) -> None:
        """What was handled since the last time, and what waits now, is what waited then, and what has come.

        Each subscription is a line of its own. Together they are one line of a producer's, but for the time in which
        one that was replaced has events in hand: it and its successor take turns.
        """
        for one in inlet.subscriptions:
            line = line_of(one, inlet)
            check_line(self._lines.get(one, []), line)
            self._lines[one] = line
        seen = self._plan.stages[name].notes.seen
        news = seen[self._seen[name] :]
        self._seen[name] = len(seen)
        for producer in self._run.processes:
            before = self._waiting.pop((name, producer), [])
            handled = [event for event in news if event.sender == producer]
            lines = [line_of(one, inlet) for one in inlet.subscriptions if one.producer.name == producer]
            after = [event for line in lines for event in line]
            if len(lines) > 1:
                check_line([], [*handled, *after])
                continue
            check_line(before, [*handled, *after])
            self._waiting[name, producer] = after
