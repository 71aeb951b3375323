"""Links and monitors."""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from headrace.errors import BadOption, NoProcess
from headrace.otp.process.mailbox import OwnEnvelope
from headrace.otp.process.process import ExitReason, Process
from headrace.telemetry.events import LOG


@dataclass(frozen=True, slots=True)
class Exit:
    """The message to a process that traps exits: a linked process has ended. "noproc": it had ended before the link."""

    name: str
    reason: ExitReason | Literal["noproc"]


@dataclass(frozen=True, slots=True)
class _Link:
    """The key of the exit hook of a link to the process `to`."""

    to: Process[object]


def link(one: Process[object], other: Process[object]) -> None:
    """Link the lives of two processes, once. If `other` is not running, `one` gets the exit at once."""
    if one is other:
        return
    if not other.is_running:
        _signal(one, other.name, "noproc")
        return
    one.on_exit(_Link(other), partial(_ended, one, other))
    other.on_exit(_Link(one), partial(_ended, other, one))


def unlink(one: Process[object], other: Process[object]) -> None:
    """End the link, if there is one; drop an `Exit` of it that waits in the mailbox."""
    one.remove_on_exit(_Link(other))
    other.remove_on_exit(_Link(one))
    one.mailbox.drop(lambda mail: any(isinstance(arg, Exit) and arg.name == other.name for arg in mail.args))


def _ended(one: Process[object], other: Process[object], reason: ExitReason) -> None:
    other.remove_on_exit(_Link(one))
    _signal(other, one.name, reason)


def _signal(process: Process[object], name: str, reason: ExitReason | Literal["noproc"]) -> None:
    """Send an exit to a process: it gets a message if it traps exits, and otherwise ends, unless the exit is normal."""
    if getattr(process.callbacks, "trap_exits", False):
        process.put_nowait(OwnEnvelope(None, (Exit(name, reason),)))
    elif reason == "noproc":
        process.take_exit_signal(NoProcess(name))
    elif reason != "normal":
        LOG.warning("process %r ends because %r has ended, to which it is linked", process.name, name)
        process.take_exit_signal(reason)


@dataclass(frozen=True, slots=True, eq=False)
class Monitor:
    """A watch over one life of the process called `name`. Keep the monitor to recognize its `Down`."""

    name: str
    _target: Process[object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Down:
    """The message that the life watched by `monitor` has ended. "noproc": it had ended before."""

    monitor: Monitor
    name: str
    reason: ExitReason | Literal["noproc"]


def monitor(watcher: Process[object], target: Process[object]) -> Monitor:
    """Watch the present life of `target`. The watch ends with the life of `watcher`."""
    watch = Monitor(target.name, target)
    if target.is_running:
        target.on_exit(watch, partial(_went_down, watcher, watch))
        watcher.on_exit(watch, lambda _: target.remove_on_exit(watch))
    else:
        _deliver(watcher, watch, "noproc")
    return watch


def demonitor(watcher: Process[object], watch: Monitor) -> None:
    """End a watch; drop a `Down` of it that waits in the mailbox. Raises `BadOption` for any other value."""
    if not isinstance(watch, Monitor):
        raise BadOption("watch", watch, "the Monitor that monitor returned")
    watcher.remove_on_exit(watch)
    watch._target.remove_on_exit(watch)  # noqa: SLF001 - this file's own
    watcher.mailbox.drop(lambda mail: any(isinstance(arg, Down) and arg.monitor is watch for arg in mail.args))


def _went_down(watcher: Process[object], watch: Monitor, reason: ExitReason) -> None:
    watcher.remove_on_exit(watch)
    _deliver(watcher, watch, reason)


def _deliver(watcher: Process[object], watch: Monitor, reason: ExitReason | Literal["noproc"]) -> None:
    watcher.put_nowait(OwnEnvelope(None, (Down(watch, watch.name, reason),)))
