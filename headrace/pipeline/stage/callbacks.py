"""Whether a stage class has the callback that its kind needs."""

from headrace.errors import MissingCallback
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor, check_supervisor
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer


def check_callback(first: object) -> None:
    """Refuse a stage whose class leaves out the callback that does its work. Raises `MissingCallback`."""
    if isinstance(first, Producer) and type(first).handle_demand is Producer.handle_demand:
        raise MissingCallback(first, "handle_demand(self, demand)")
    if isinstance(first, ConsumerSupervisor):
        check_supervisor(first)
        return
    for base in (ProducerConsumer, Consumer):
        if isinstance(first, base) and type(first).handle_events is base.handle_events:
            raise MissingCallback(first, "handle_events(self, events)")
