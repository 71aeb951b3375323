"""The optional callbacks of a process, declared with empty bodies, and whether a class overrides one."""

from collections.abc import Callable
from types import MethodType
from typing import Any, Literal, cast

from headrace.errors import NoCallback
from headrace.otp.process.state import ExitReason

CallbackName = Literal["init", "terminate", "handle_info", "handle_continue", "handle_timeout"]


class Callbacks:
    """Callbacks that a process calls where the class of its callback object overrides them: `def` or `async def`.

    An exception in one of them ends the process with it, and its supervisor decides what follows. A message and the
    argument of `continue_with` have the type that the class declares.
    """

    def init(self) -> object:
        """Open what the object needs, in the running loop; called again after a restart, on a new object."""

    def terminate(self, reason: ExitReason) -> object:
        """Close what `init` opened; `reason` is why the process ends."""

    def handle_info(self, message: Any) -> object:
        """Handle a message that expects no reply. Without this callback messages are dropped with a warning."""

    def handle_continue(self, argument: Any) -> object:
        """Handle the argument of `continue_with`, before any other message."""

    def handle_timeout(self) -> object:
        """Called when no message came within the seconds of `timeout_after`."""


def is_overridden(callback: Callable[..., object], declared: Callable[..., object]) -> bool:
    """Return whether a callback of an object is its own, rather than the empty body that a base class declares."""
    return not isinstance(callback, MethodType) or callback.__func__ is not declared


def overridden(callbacks: object, name: CallbackName) -> Callable[..., object] | None:
    """Return a callback of an object of any class; None where the object lacks it, or has the empty body."""
    own = cast("Callable[..., object] | None", getattr(callbacks, name, None))
    return own if own is not None and is_overridden(own, getattr(Callbacks, name)) else None


def required(callbacks: object, name: CallbackName, process: str, arguments: str = "self") -> Callable[..., object]:
    """Return a callback of an object. Raises `NoCallback` where the object lacks it, or has the empty body."""
    own = overridden(callbacks, name)
    if own is None:
        raise NoCallback(process, f"{name}({arguments})")
    return own
