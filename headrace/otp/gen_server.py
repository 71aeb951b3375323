"""`GenServer`, its process, and its timers."""

from typing import ClassVar, Self, TypeVar, cast

from typing_extensions import override

from headrace.errors import NoCallback, NotStarted
from headrace.otp import links
from headrace.otp import links as monitor
from headrace.otp.links import Monitor
from headrace.otp.process.callbacks import CallbackName, Callbacks, overridden
from headrace.otp.process.mailbox import Continuation, OwnEnvelope, Timeout
from headrace.otp.process.process import ExitReason, Process
from headrace.otp.process.state import check_reason
from headrace.otp.ref import Ref, process_behind


class Timer:
    """A message that is on its way to its process until its time has come."""

    __slots__ = ("_handle", "_message", "_process")

    def __init__(self, process: Process[object], seconds: float, message: object) -> None:
        """Start. A time that is not above 0 has passed at once."""
        self._process = process
        self._message = message
        self._handle = process.scheduler.loop.call_later(seconds, self._fire, context=process.context)
        process.on_exit(self, lambda _: self._handle.cancel())

    def cancel(self) -> None:
        """Take the message back, unless it is in the mailbox already; more than once is fine."""
        self._handle.cancel()
        self._process.remove_on_exit(self)

    def _fire(self) -> None:
        self._process.remove_on_exit(self)
        self._process.put_nowait(OwnEnvelope(None, (self._message,)))


def await_mail(process: Process[object], seconds: float) -> None:
    """Have `handle_timeout` run if no mail has come in `seconds`; the next mail that is taken takes it back."""
    process.mailbox.forget_timeout()
    timeout = process.scheduler.loop.call_later(seconds, _timed_out, process, context=process.context)
    process.mailbox.timeout = timeout


def _timed_out(process: Process[object]) -> None:
    process.mailbox.timeout = None
    if not process.mailbox:
        process.put_nowait(Timeout(None))


S = TypeVar("S")


class GenServer(Callbacks):
    """The base of a server: any method may be called or cast through its `Ref`, and runs when its turn has come.

    Its optional callbacks are those of `Callbacks`. An exception in a method ends the process with it, as one in a
    callback does. A method may return a `Reply`, and answer its caller later.

    The methods below are valid from `init` to `terminate`, and raise `NotStarted` before and after. They concern
    one *life*: after a restart timers, monitors, links and continuations are gone, and `init` makes them
    again. They are for the loop's own thread.
    """

    trap_exits: ClassVar[bool] = False
    """Whether the exits of linked processes come to `handle_info` as an `Exit`, rather than ending this one."""

    _process: Process[object] | None = None

    @property
    def ref(self) -> Ref[Self]:
        """The reference of this process, which survives restarts: give it to others."""
        return Ref(cast("Process[Self]", _process_of(self, "ref")))

    def stop(self, reason: ExitReason = "normal") -> None:
        """End when the running callback has returned, and its reply is given; in `init`, fail to start.

        The supervisor decides what follows: a permanent child is started again whatever the reason, a transient one
        unless it is "normal" or "shutdown" (OTP's rules). Raises `BadOption` for a value that is no reason.
        """
        check_reason(reason)
        _process_of(self, "stop()").stop_after_callback(reason)

    def continue_with(self, argument: object = None) -> None:
        """Have `handle_continue(argument)` run next, before any mail: what must not delay `init` or a reply.

        Several run in the order in which they were asked for.
        """
        process = _process_of(self, "continue_with()")
        _check_callback(self, process, "handle_continue", "argument")
        process.mailbox.put_first(Continuation(None, (argument,)))
        process.schedule_control()

    def timeout_after(self, seconds: float) -> None:
        """Have `handle_timeout()` run if no mail comes within `seconds`, from now on; once.

        Any call, cast or info takes it back, a message of `send_after` too; events of a stage are no mail. A second
        call starts the time anew.
        """
        process = _process_of(self, "timeout_after()")
        _check_callback(self, process, "handle_timeout")
        await_mail(process, seconds)

    def send_after(self, seconds: float, message: object) -> Timer:
        """Call `handle_info(message)` when `seconds` have passed; `cancel()` of the returned timer takes it back."""
        return Timer(_process_of(self, "send_after()"), seconds, message)

    def monitor(self, ref: Ref[S]) -> Monitor:
        """Have `handle_info(Down(monitor, name, reason))` run, once, when the present life of `ref`'s process ends.

        A crash ends it, though a restart follows. Where it has ended before, `Down` comes at once with "noproc".
        """
        return monitor.monitor(_process_of(self, "monitor()"), process_behind(ref, "monitor of"))

    def demonitor(self, watch: Monitor) -> None:
        """End a watch; no `Down` of it comes any more."""
        monitor.demonitor(_process_of(self, "demonitor()"), watch)

    def link(self, ref: Ref[S]) -> None:
        """End together with the present life of `ref`'s process: when either ends, the other does, for the same reason.

        At once, the running callback is cancelled; and then its supervisor decides, as after any other end. An end that
        is "normal" ends no other process. A class that says `trap_exits = True` gets `handle_info(Exit(name, reason))`
        instead, when it was "normal", too. Where there is no life to link to, that is an exit with "noproc".
        """
        links.link(_process_of(self, "link()"), process_behind(ref, "link to"))

    def unlink(self, ref: Ref[S]) -> None:
        """End the link, if there is one."""
        links.unlink(_process_of(self, "unlink()"), process_behind(ref, "unlink of"))


def _process_of(server: GenServer, name: str) -> Process[object]:
    process = server._process  # noqa: SLF001 - this is what stands behind the class
    if process is None or process.callbacks is not server:
        raise NotStarted(server, name)
    process.scheduler.check_loop(f"{name} of", process.name)
    return process


def _check_callback(server: GenServer, process: Process[object], callback: CallbackName, argument: str = "") -> None:
    if overridden(server, callback) is None:
        raise NoCallback(process.name, f"{callback}({', '.join(filter(None, ('self', argument)))})")


class GenServerProcess(Process[S]):
    """The process around a server: it does nothing but its mail."""

    __slots__ = ()

    @override
    def bound(self, callbacks: S) -> None:
        if isinstance(callbacks, GenServer):
            callbacks._process = cast("Process[object]", self)  # noqa: SLF001 - the runtime stands behind the class
