"""Monitors: a process is told once when the present life of another one ends (OTP's `Process.monitor`)."""

from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from headrace.errors import BadOption
from headrace.otp.process.mail import OwnMail
from headrace.otp.process.process import ExitReason, Process


@dataclass(frozen=True, slots=True, eq=False)
class Monitor:
    """A watch over one life of the process called `name`; keep it to know which `Down` is whose."""

    name: str
    _target: Process[object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Down:
    """The life that `monitor` watched has ended. `reason` is "noproc" where there was none to watch."""

    monitor: Monitor
    name: str
    reason: ExitReason | Literal["noproc"]


def monitor(watcher: Process[object], target: Process[object]) -> Monitor:
    """Watch the present life of `target`; the watch is gone when that of `watcher` ends."""
    watch = Monitor(target.name, target)
    if target.has_life:
        target.at_end(watch, partial(_went_down, watcher, watch))
        watcher.at_end(watch, lambda _: target.forget_at_end(watch))
    else:
        _tell(watcher, watch, "noproc")
    return watch


def demonitor(watcher: Process[object], watch: Monitor) -> None:
    """End a watch; a `Down` that waits in the mailbox is dropped. Raises `BadOption` for what is none."""
    if not isinstance(watch, Monitor):
        raise BadOption("watch", watch, "the Monitor that monitor returned")
    watcher.forget_at_end(watch)
    watch._target.forget_at_end(watch)  # noqa: SLF001 - this file's own
    watcher.mailbox.drop(lambda mail: any(isinstance(arg, Down) and arg.monitor is watch for arg in mail.args))


def _went_down(watcher: Process[object], watch: Monitor, reason: ExitReason) -> None:
    watcher.forget_at_end(watch)
    _tell(watcher, watch, reason)


def _tell(watcher: Process[object], watch: Monitor, reason: ExitReason | Literal["noproc"]) -> None:
    watcher.put_nowait(OwnMail(None, (Down(watch, watch.name, reason),)))
