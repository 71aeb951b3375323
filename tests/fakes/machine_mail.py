"""What the random machine sends its stages by mail."""

from headrace.otp.process.process import ExitReason
from headrace.otp.ref import Ref
from headrace.pipeline.stage.stage import Stage
from tests.fakes.machine_stages import Middle, Source


def crash_now(error: type[BaseException], stage: object) -> None:
    """Raise: it is sent to a stage by mail."""
    raise error(type(stage).__name__)


def push_now(count: int, stage: object) -> None:
    """Have a stage emit events beside those that were asked for: it is sent by mail."""
    assert isinstance(stage, Source | Middle)
    stage.push(count)


def stop_now(reason: ExitReason, stage: object) -> None:
    """Have a stage end itself."""
    assert isinstance(stage, Stage)
    stage.stop(reason)


def link_now(other: Ref[object], stage: object) -> None:
    """Have a stage end with another one."""
    assert isinstance(stage, Stage)
    stage.link(other)
