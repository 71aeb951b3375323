"""The dispatchers, and what a dispatcher of your own needs.

Each name is loaded on first use.
"""

from typing import TYPE_CHECKING

from headrace.lazy import lazy_names

if TYPE_CHECKING:
    from headrace.pipeline.dispatchers.broadcast import BroadcastDispatcher
    from headrace.pipeline.dispatchers.demand import DemandDispatcher
    from headrace.pipeline.dispatchers.dispatcher import Delivery, Dispatcher, S, SubscribeOptions, Subscriber
    from headrace.pipeline.dispatchers.partition import Output, PartitionDispatcher
    from headrace.pipeline.dispatchers.round_robin import RoundRobinDispatcher
    from headrace.pipeline.dispatchers.weighted import WeightedDispatcher

__all__ = [
    "BroadcastDispatcher",
    "Delivery",
    "DemandDispatcher",
    "Dispatcher",
    "Output",
    "PartitionDispatcher",
    "RoundRobinDispatcher",
    "S",
    "SubscribeOptions",
    "Subscriber",
    "WeightedDispatcher",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BroadcastDispatcher": "pipeline.dispatchers.broadcast",
        "Delivery": "pipeline.dispatchers.dispatcher",
        "DemandDispatcher": "pipeline.dispatchers.demand",
        "Dispatcher": "pipeline.dispatchers.dispatcher",
        "Output": "pipeline.dispatchers.partition",
        "PartitionDispatcher": "pipeline.dispatchers.partition",
        "RoundRobinDispatcher": "pipeline.dispatchers.round_robin",
        "S": "pipeline.dispatchers.dispatcher",
        "SubscribeOptions": "pipeline.dispatchers.dispatcher",
        "Subscriber": "pipeline.dispatchers.dispatcher",
        "WeightedDispatcher": "pipeline.dispatchers.weighted",
    },
)
