"""`Call`: one function that runs in a thread or an OS process, and the handle to it."""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

from typing_extensions import override

from headrace.errors import message_of, short_repr
from headrace.executors.errors import CallOverdue, RemoteError
from headrace.telemetry.events import LOG

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Returned(Generic[R_co]):
    """The function has returned `result`."""

    result: R_co


@dataclass(frozen=True, slots=True)
class Raised:
    """The function has raised `error`, or was ended with it."""

    error: Exception


class Call(Generic[R_co]):
    """One run of a function. It ends exactly once; its outcome may be read any number of times.

    Only for the loop of its executor.
    """

    __slots__ = ("_ended", "_is_left", "_outcome", "_stop", "can_be_stopped", "name")

    def __init__(self, name: str, stop: Callable[[bool], None] | None) -> None:
        """`stop` begins to end the function, at once if its argument is true. None: the function cannot be ended."""
        self.name: Final = name
        self.can_be_stopped: Final = stop is not None
        self._stop = stop
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outcome: Returned[R_co] | Raised | None = None
        self._is_left = False

    @override
    def __repr__(self) -> str:
        return f"<Call {self.name!r} {'runs' if self._outcome is None else type(self._outcome).__name__.lower()}>"

    @property
    def outcome(self) -> Returned[R_co] | Raised | None:
        """The outcome of the function; None while it runs."""
        return self._outcome

    @property
    def is_left(self) -> bool:
        """Whether the function still runs, but no caller waits for it any more."""
        return self._is_left and self._outcome is None

    async def ended(self) -> Returned[R_co] | Raised:
        """Wait until the function has ended, and return its outcome. On cancellation the call goes on."""
        if self._outcome is None:
            await asyncio.shield(self._ended)
        return cast("Returned[R_co] | Raised", self._outcome)

    async def result(self) -> R_co:
        """Return the result of the function, or raise its error. On cancellation the call goes on.

        An error from an OS process has the traceback there as its cause.
        """
        outcome = self._outcome or await self.ended()
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome.result

    def stop(self, *, at_once: bool = False) -> bool:
        """Begin to end the function, and return whether that is possible; `ended` waits for the end.

        An OS process is terminated, and killed after its grace time, or at once; the call then fails with CallStopped,
        unless it has ended before. A thread goes on.
        """
        if self._stop is not None and self._outcome is None:
            self._stop(at_once)
        return self.can_be_stopped

    async def finish(self, timeout_seconds: float | None) -> R_co:
        """Return the result as `result` does, but stop the function on cancellation or after `timeout_seconds`.

        If the function can be stopped, it has ended before this raises; a second cancellation does not wait for the
        grace time. A thread is left behind: `ended` waits for its outcome. Raises CallOverdue.
        """
        try:
            async with asyncio.timeout(timeout_seconds) as deadline:
                await self.ended()
        except TimeoutError:
            await self._leave()
        except asyncio.CancelledError:
            await self._leave()
            raise
        finally:
            if self._outcome is None:
                self.stop()
        if deadline.expired() and not isinstance(self._outcome, Returned):
            raise CallOverdue(self.name, cast("float", timeout_seconds))
        return await self.result()

    def leave(self) -> None:
        """Mark the call as left: no caller waits any more, so an error is logged."""
        self._is_left = True

    def set_outcome(self, outcome: Returned[R_co] | Raised) -> None:
        """Set the outcome, if none is set yet. For the executor that runs the function."""
        if self._outcome is not None:
            return
        if self._is_left and not self.can_be_stopped and isinstance(outcome, Raised):
            LOG.warning("%r raised, and no caller waits for it any more: %s", self.name, short_repr(outcome.error))
        self._outcome = outcome
        if not self._ended.done():
            self._ended.set_result(None)

    async def _leave(self) -> None:
        self.leave()
        if not self.stop():
            return
        while self._outcome is None:
            try:
                await asyncio.shield(self._ended)
            except asyncio.CancelledError:
                self.stop(at_once=True)
                raise


def raised(name: str, error: BaseException) -> Raised:
    """Return the outcome of a function that raised. An error that would end more than the call is replaced.

    >>> raised("shop:price", SystemExit(3)).error.class_name
    'SystemExit'
    """
    if isinstance(error, Exception):
        return Raised(error)
    text = "".join(traceback.format_exception(error))
    return Raised(RemoteError(name, type(error).__name__, message_of(error), text))


def function_name(function: object) -> str:
    """Return the name of a function in sentences, `module:qualname`; a text is its own name.

    >>> function_name(function_name)
    'headrace.executors.call:function_name'
    """
    if isinstance(function, str):
        return function
    inner = getattr(function, "func", function)
    qualname = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return f"{getattr(inner, '__module__', None) or type(inner).__module__}:{qualname}"
