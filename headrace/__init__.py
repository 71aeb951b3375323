"""GenStage for Python: demand goes upstream, events come downstream, through bounded queues.

The names below are what most programs need; each is loaded when it is first used, so that a command starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.config.pipeline import Pipeline
    from headrace.config.text.findings import ConfigError
    from headrace.errors import HeadraceError, Unrecoverable
    from headrace.otp.gen_server import GenServer
    from headrace.otp.ref import Ref
    from headrace.otp.registry import Registry
    from headrace.otp.scheduler import Scheduler
    from headrace.otp.supervision.child_spec import ChildSpec
    from headrace.otp.supervision.supervisor import Supervisor
    from headrace.otp.task import Task
    from headrace.otp.task_supervisor import TaskSupervisor
    from headrace.pipeline.flow.subscription import SubscribeTo
    from headrace.pipeline.message import Acknowledgement, Message, Outcome
    from headrace.pipeline.stage.consumer import Consumer
    from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
    from headrace.pipeline.stage.producer import Inbox, Producer
    from headrace.pipeline.stage.producer_consumer import ProducerConsumer
    from headrace.pipeline.stage.settings import StageSettings
    from headrace.pipeline.topology.run import RunOutcome
    from headrace.pipeline.topology.snapshot import TopologySnapshot

__version__ = "0.1.0"

__all__ = [
    "Acknowledgement",
    "ChildSpec",
    "ConfigError",
    "Consumer",
    "ConsumerSupervisor",
    "GenServer",
    "HeadraceError",
    "Inbox",
    "Message",
    "Outcome",
    "Pipeline",
    "Producer",
    "ProducerConsumer",
    "Ref",
    "Registry",
    "RunOutcome",
    "Scheduler",
    "StageSettings",
    "SubscribeTo",
    "Supervisor",
    "Task",
    "TaskSupervisor",
    "TopologySnapshot",
    "Unrecoverable",
    "__version__",
]

_ROOMS = {
    "Acknowledgement": "pipeline.message",
    "ChildSpec": "otp.supervision.child_spec",
    "ConfigError": "config.text.findings",
    "Consumer": "pipeline.stage.consumer",
    "ConsumerSupervisor": "pipeline.stage.consumer_supervisor",
    "GenServer": "otp.gen_server",
    "HeadraceError": "errors",
    "Inbox": "pipeline.stage.producer",
    "Message": "pipeline.message",
    "Outcome": "pipeline.message",
    "Pipeline": "config.pipeline",
    "Producer": "pipeline.stage.producer",
    "ProducerConsumer": "pipeline.stage.producer_consumer",
    "Ref": "otp.ref",
    "Registry": "otp.registry",
    "RunOutcome": "pipeline.topology.run",
    "Scheduler": "otp.scheduler",
    "StageSettings": "pipeline.stage.settings",
    "SubscribeTo": "pipeline.flow.subscription",
    "Supervisor": "otp.supervision.supervisor",
    "Task": "otp.task",
    "TaskSupervisor": "otp.task_supervisor",
    "TopologySnapshot": "pipeline.topology.snapshot",
    "Unrecoverable": "errors",
}


def __getattr__(name: str) -> object:
    """Load a name of the face when it is first used."""
    if name not in _ROOMS:
        raise AttributeError(f"headrace has no {name!r}; it has: {', '.join(__all__)}")  # noqa: TRY003 - Python's own
    found: object = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
