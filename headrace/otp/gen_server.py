"""`GenServer`, its process, and its timers."""

from typing import ClassVar, Self, TypeVar, cast

from typing_extensions import override

from headrace.errors import NotStarted
from headrace.otp import links
from headrace.otp.links import Monitor
from headrace.otp.process.callbacks import Callbacks, required
from headrace.otp.process.mailbox import Continuation, OwnEnvelope, Timeout
from headrace.otp.process.process import ExitReason, Process
from headrace.otp.process.state import check_reason
from headrace.otp.ref import Ref, process_behind


class Timer:
    """A message that reaches its process when `seconds` have passed."""

    __slots__ = ("_handle", "_message", "_process")

    def __init__(self, process: Process[object], seconds: float, message: object) -> None:
        """Start the timer. A time of 0 or less has passed at once."""
        self._process = process
        self._message = message
        self._handle = process.scheduler.loop.call_later(seconds, self._fire, context=process.context)
        process.on_exit(self, lambda _: self._handle.cancel())

    def cancel(self) -> None:
        """Cancel the message, unless it is in the mailbox already. A second call does nothing."""
        self._handle.cancel()
        self._process.remove_on_exit(self)

    def _fire(self) -> None:
        self._process.remove_on_exit(self)
        self._process.put_nowait(OwnEnvelope(None, (self._message,)))


def await_mail(process: Process[object], seconds: float) -> None:
    """Call `handle_timeout` unless an envelope comes within `seconds`."""
    process.mailbox.forget_timeout()
    timeout = process.scheduler.loop.call_later(seconds, _timed_out, process, context=process.context)
    process.mailbox.timeout = timeout


def _timed_out(process: Process[object]) -> None:
    process.mailbox.timeout = None
    if not process.mailbox:
        process.put_nowait(Timeout(None))


S = TypeVar("S")


class GenServer(Callbacks):
    """The base of a server: any method may be called or cast through its `Ref`, and runs in the process of the server.

    Its optional callbacks are declared in `Callbacks`. An exception in a callback or a method ends the process, and its
    supervisor decides about a restart. A method may return a `Reply`, and answer its caller later.

    The methods below may be called from `init` to `terminate`, on the loop's own thread; before and after they raise
    `NotStarted`. They concern one *life* of the process: a restart ends timers, monitors, links and continuations, and
    `init` makes them again.
    """

    trap_exits: ClassVar[bool] = False
    """Whether `handle_info` gets an `Exit` when a linked process ends, so that this process does not end with it."""

    _process: Process[object] | None = None

    @property
    def ref(self) -> Ref[Self]:
        """The reference of this process. It stays valid over restarts."""
        return Ref(cast("Process[Self]", _process_of(self, "ref")))

    def stop(self, reason: ExitReason = "normal") -> None:
        """End when the running callback has returned and its reply is sent; in `init`, fail to start.

        The supervisor decides about a restart: a permanent child is started again for any reason, a transient child
        unless the reason is "normal" or "shutdown" (OTP's rules). Raises `BadOption` for an invalid reason.
        """
        check_reason(reason)
        _process_of(self, "stop()").stop_after_callback(reason)

    def continue_with(self, argument: object = None) -> None:
        """Call `handle_continue(argument)` next, for work that must not delay `init` or a reply.

        It runs before all waiting calls; several continuations run in order.
        """
        process = _process_of(self, "continue_with()")
        required(self, "handle_continue", process.name, "self, argument")
        process.mailbox.put_first(Continuation(None, (argument,)))
        process.schedule_control()

    def timeout_after(self, seconds: float) -> None:
        """Call `handle_timeout()` once, unless a call, cast or info comes within `seconds`.

        A message of `send_after` counts too; events of a stage do not. A second call starts the time again.
        """
        process = _process_of(self, "timeout_after()")
        required(self, "handle_timeout", process.name)
        await_mail(process, seconds)

    def send_after(self, seconds: float, message: object) -> Timer:
        """Call `handle_info(message)` when `seconds` have passed, unless the returned timer is cancelled."""
        return Timer(_process_of(self, "send_after()"), seconds, message)

    def monitor(self, ref: Ref[S]) -> Monitor:
        """Call `handle_info(Down(monitor, name, reason))` once, when the present life of the process of `ref` ends.

        A crash ends a life, even if a restart follows. Where no life is left, `Down` comes at once, with the reason
        "noproc".
        """
        return links.monitor(_process_of(self, "monitor()"), process_behind(ref, "monitor of"))

    def demonitor(self, watch: Monitor) -> None:
        """End a monitor; no `Down` of it follows."""
        links.demonitor(_process_of(self, "demonitor()"), watch)

    def link(self, ref: Ref[S]) -> None:
        """Link this process and the process of `ref`: when the life of one ends, the other ends, too.

        It ends for the same reason, with the running callback cancelled, and its supervisor decides about a restart.
        The reason "normal" ends no linked process. With `trap_exits = True` the process does not end: `handle_info`
        gets an `Exit(name, reason)`, also for "normal". A link to a process without a life is an exit with "noproc".
        """
        links.link(_process_of(self, "link()"), process_behind(ref, "link to"))

    def unlink(self, ref: Ref[S]) -> None:
        """End the link, if there is one."""
        links.unlink(_process_of(self, "unlink()"), process_behind(ref, "unlink of"))


def _process_of(server: GenServer, name: str) -> Process[object]:
    process = server._process  # noqa: SLF001 - the process belongs to the runtime
    if process is None or process.callbacks is not server:
        raise NotStarted(server, name)
    process.scheduler.check_loop(f"{name} of", process.name)
    return process


class GenServerProcess(Process[S]):
    """The process around a server: it only handles its mailbox."""

    __slots__ = ()

    @override
    def bound(self, callbacks: S) -> None:
        if isinstance(callbacks, GenServer):
            callbacks._process = cast("Process[object]", self)  # noqa: SLF001 - the process belongs to the runtime
