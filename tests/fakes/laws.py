"""The laws of demand and conservation, checked on a run between any two turns."""

from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import StageOutput
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.topology.run import Run


def inlet_of(process: StageProcess) -> StageInput | None:
    return process.input


def outlet_of(process: StageProcess) -> StageOutput | None:
    return process.output


def queued(subscription: Subscription) -> int:
    """Return how many events wait in the queue of a subscription."""
    return sum(len(events) for events, _ in subscription.queue if events is not None) - subscription.offset


def in_hand(subscription: Subscription, inlet: StageInput) -> int:
    """Return how many events of a subscription are in hand; callbacks may have changed a batch that is there alone."""
    if inlet.current_batch is None:
        return 0
    parts = inlet.in_parts()
    if len(parts) > 1:
        return sum(len(events) for portion, events in parts if portion.subscription is subscription)
    return inlet.current_size if parts[0][0].subscription is subscription else 0


def check_subscription(subscription: Subscription, inlet: StageInput, most: int | None = None) -> None:
    """Assert what always holds of a subscription that both ends hold; `most` may be coming, by default `max_demand`."""
    window = subscription.window
    most = window.max_demand if most is None else most
    assert subscription.asked >= 0
    assert subscription.pending >= 0
    assert 0 <= window.outstanding <= most
    assert (
        subscription.asked + subscription.pending + queued(subscription) + in_hand(subscription, inlet)
        == window.outstanding
    )


def check_demand(run: Run) -> None:
    """Assert the law of demand for every subscription of a run that is still open at both ends."""
    for process in run.processes.values():
        inlet = inlet_of(process)
        if inlet is not None:
            for subscription in inlet.subscriptions:
                check_subscription(subscription, inlet)


def check_edges(run: Run) -> None:
    """Assert that what a stage has sent is what its consumers got, and what they got is in flight or received."""
    for process in run.processes.values():
        outlet, inlet = outlet_of(process), inlet_of(process)
        if outlet is not None and outlet.dispatcher.can_redeliver:
            assert outlet.sent() == sum(edge.delivered for edge in run.edges.from_producer(process.name))
        if inlet is not None:
            delivered = sum(edge.delivered for edge in run.edges.to_consumer(process.name))
            assert delivered == inlet.received() + inlet.in_flight()


def discarded(process: StageProcess) -> int:
    """Return how many events a stage has discarded, for whatever reason."""
    return sum(process.counts.discarded.values())


def check_over(run: Run) -> None:
    """Assert that a run that is over holds no event any more."""
    for process in run.processes.values():
        outlet, inlet = outlet_of(process), inlet_of(process)
        assert process.state is ProcessStatus.ENDED
        assert outlet is None or outlet.buffer.size == 0
        assert inlet is None or inlet.in_flight() == 0


def check_end(run: Run) -> None:
    """Assert that a run that is over, and that nobody else read, holds no event any more and counted them all."""
    check_over(run)
    check_edges(run)
