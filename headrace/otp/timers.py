"""What a process gets when a time has passed: a message, or word that no mail has come. Gone when its life ends."""

from headrace.otp.process.mail import OwnMail, Timeout
from headrace.otp.process.process import Process


class Timer:
    """A message that is on its way to its process until its time has come."""

    __slots__ = ("_handle", "_message", "_process")

    def __init__(self, process: Process[object], seconds: float, message: object) -> None:
        """Start. A time that is not above 0 has passed at once."""
        self._process = process
        self._message = message
        self._handle = process.scheduler.loop.call_later(seconds, self._fire, context=process.context)
        process.at_end(self, lambda _: self._handle.cancel())

    def cancel(self) -> None:
        """Take the message back, unless it is in the mailbox already; more than once is fine."""
        self._handle.cancel()
        self._process.forget_at_end(self)

    def _fire(self) -> None:
        self._process.forget_at_end(self)
        self._process.put_nowait(OwnMail(None, (self._message,)))


def await_mail(process: Process[object], seconds: float) -> None:
    """Have `handle_timeout` run if no mail has come in `seconds`; the next mail that is taken takes it back."""
    process.mailbox.forget_timeout()
    timeout = process.scheduler.loop.call_later(seconds, _timed_out, process, context=process.context)
    process.mailbox.timeout = timeout


def _timed_out(process: Process[object]) -> None:
    process.mailbox.timeout = None
    if not process.mailbox:
        process.put_nowait(Timeout(None))
