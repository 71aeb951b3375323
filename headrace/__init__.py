"""GenStage for Python: demand goes upstream, events come downstream, through bounded queues.

The names below are what most programs need. Each is loaded on first use, so that a command starts quickly.
"""

from typing import TYPE_CHECKING

from headrace.lazy import lazy_names

if TYPE_CHECKING:
    from headrace.config.pipeline import Pipeline
    from headrace.config.text.findings import ConfigError
    from headrace.errors.otp import Unrecoverable
    from headrace.errors.root import HeadraceError
    from headrace.otp.gen_server import GenServer
    from headrace.otp.ref import Ref
    from headrace.otp.registry import Registry
    from headrace.otp.scheduler import Scheduler
    from headrace.otp.supervision.child_spec import ChildSpec
    from headrace.otp.supervision.supervisor import Supervisor
    from headrace.otp.task import Task
    from headrace.otp.task_supervisor import TaskSupervisor
    from headrace.pipeline.flow.subscription import SubscribeTo
    from headrace.pipeline.flow.subscription_handle import SubscriptionHandle
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
    "SubscriptionHandle",
    "Supervisor",
    "Task",
    "TaskSupervisor",
    "TopologySnapshot",
    "Unrecoverable",
    "__version__",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Acknowledgement": "pipeline.message",
        "ChildSpec": "otp.supervision.child_spec",
        "ConfigError": "config.text.findings",
        "Consumer": "pipeline.stage.consumer",
        "ConsumerSupervisor": "pipeline.stage.consumer_supervisor",
        "GenServer": "otp.gen_server",
        "HeadraceError": "errors.root",
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
        "SubscriptionHandle": "pipeline.flow.subscription_handle",
        "Supervisor": "otp.supervision.supervisor",
        "Task": "otp.task",
        "TaskSupervisor": "otp.task_supervisor",
        "TopologySnapshot": "pipeline.topology.snapshot",
        "Unrecoverable": "errors.otp",
    },
)
