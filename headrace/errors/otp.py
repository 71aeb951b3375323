"""Errors of processes, their mailboxes and their supervisors."""

from collections.abc import Iterable, Sequence

from headrace.errors.root import HeadraceError, describe


class ProcessError(HeadraceError):
    """The base of errors of processes, mailboxes and supervisors."""


class NoProcess(ProcessError):
    """No process has that name or reference."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"process {name!r} is not running: start it first, or look its name up again after a restart")


class ProcessDown(ProcessError):
    """The process ended before it answered, for `reason`."""

    def __init__(self, name: str, reason: object) -> None:
        self.name = name
        self.reason = reason
        super().__init__(
            f"process {name!r} ended before it answered ({describe(reason)}): call it again if it restarts"
        )
        self.__cause__ = reason if isinstance(reason, BaseException) else None


class CallTimeout(ProcessError):
    """The process did not answer in time. A late answer is dropped."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        super().__init__(
            f"process {name!r} did not answer within {seconds:g} s: give it longer with ref.within(seconds), "
            "or cast and ask for the result later"
        )


class CallToSelf(ProcessError):
    """A process called itself and would wait forever."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"process {name!r} called itself and would wait forever: call the method directly, or cast")


class WaitForSelf(CallToSelf):
    """A callback waits for an end that waits for the callback itself; `what` names the end."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(name)
        self.what = what
        sentence = (
            f"a callback of process {name!r} waits for {what}, which waits for that callback, for ever: "
            "do not await it there, but in a task of its own, or end the process with self.stop()"
        )
        self.args = (sentence,)


class ReplyGiven(ProcessError):
    """A reply was given a second time."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} answers a call that it has answered already: set or fail a Reply once")


class MailboxFull(ProcessError):
    """The mailbox holds as many calls and casts as it may."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        super().__init__(
            f"the mailbox of process {name!r} is full ({limit} calls and casts wait): "
            "use `await cast`, which waits for room"
        )


class CastCircle(MailboxFull):
    """Processes would wait for ever for places in each other's full mailboxes; `names` has them in order."""

    def __init__(self, names: Sequence[str], limit: int) -> None:
        super().__init__(names[1], limit)
        self.names = tuple(names)
        circle = " -> ".join(repr(name) for name in names)
        sentence = (
            f"processes would wait for ever for room in each other's full mailboxes ({circle}): use cast_nowait "
            "in one of them and handle MailboxFull, or give them a larger mailbox_limit"
        )
        self.args = (sentence,)


class NameTaken(ProcessError):
    """Another live process has the name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the name {name!r} is taken by a live process: stop that one first, or choose another name")


class NotStarted(ProcessError):
    """An object used its process before the start, or the object belongs to an earlier life."""

    def __init__(self, found: object, attribute: str) -> None:
        self.attribute = attribute
        super().__init__(
            f"{type(found).__name__} uses self.{attribute} while it is no process: "
            "use it from init() to terminate(), not in __init__, nor when its process has ended or was restarted"
        )


class OutsideProcess(ProcessError):
    """The call needs a running process, and none runs."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} needs a running process, and none runs here: pass the Ref of one")


class NoCallback(ProcessError):
    """The class of a process lacks a callback that was to run."""

    def __init__(self, name: str, callback: str) -> None:
        self.name = name
        self.callback = callback
        super().__init__(
            f"the class of process {name!r} has no {callback} of its own: write it, since the process calls it"
        )


class StartFailed(ProcessError):
    """The `init` of a process failed, for `reason`."""

    def __init__(self, name: str, reason: object) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name!r} could not start: {describe(reason)}")
        self.__cause__ = reason if isinstance(reason, BaseException) else None


class NoChild(ProcessError):
    """A supervisor has no child of that name."""

    def __init__(self, supervisor: str, child: str, children: Iterable[str]) -> None:
        self.supervisor = supervisor
        self.child = child
        known = ", ".join(map(repr, children))
        super().__init__(
            f"supervisor {supervisor!r} has no child {child!r}: {f'it has {known}' if known else 'it has none'}"
        )


class ChildIsAlive(ProcessError):
    """The child must have ended for this call, and is alive."""

    def __init__(self, supervisor: str, child: str) -> None:
        self.supervisor = supervisor
        self.child = child
        super().__init__(f"child {child!r} of supervisor {supervisor!r} is alive: call terminate_child first")


class ChildKept(ProcessError):
    """A child of that name has ended, and its supervisor keeps its spec."""

    def __init__(self, supervisor: str, child: str) -> None:
        self.supervisor = supervisor
        self.child = child
        super().__init__(
            f"supervisor {supervisor!r} keeps the spec of {child!r}, which has ended: use restart_child or delete_child"
        )


class RestartsExhausted(ProcessError):
    """A supervisor exited: its children crashed more often than it may restart them."""

    def __init__(self, child: str, restarts: int, seconds: float, reason: object) -> None:
        self.child = child
        self.restarts = restarts
        self.seconds = seconds
        self.reason = reason
        super().__init__(
            f"{child!r} failed again after {restarts} restarts within {seconds:g} s, and its supervisor exited; "
            f"the last error was: {describe(reason)}"
        )
        self.__cause__ = reason if isinstance(reason, BaseException) else None


class TaskFailed(ProcessError):
    """A task ended without a result, for `reason`."""

    def __init__(self, name: str, reason: object) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"task {name!r} has no result ({describe(reason)}): fix the cause, and start it again")
        self.__cause__ = reason if isinstance(reason, BaseException) else None


class TaskTimeout(ProcessError):
    """A task had no result in time."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        super().__init__(
            f"task {name!r} had no result within {seconds:g} s: give it longer with timeout_seconds, or shut it down"
        )


class TooManyChildren(ProcessError):
    """A supervisor has as many children as it may have."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        super().__init__(
            f"{name!r} has {limit} children, as many as it may: wait until one has ended, or raise its max_children"
        )


class BadOption(ProcessError):
    """An option of a process, a supervisor or a stream of tasks is not valid."""

    def __init__(self, option: str, found: object, allowed: str) -> None:
        self.option = option
        self.found = found
        self.allowed = allowed
        super().__init__(f"{option} is {found!r}, and must be {allowed}")


class Unrecoverable(ProcessError):
    """The failure would repeat after a restart: the supervisor exits at once, and the run ends with this error.

    Raise it with one sentence: what failed, where, and what to do.
    """


class PermanentChild(Unrecoverable):
    """A child of a consumer supervisor has the restart type "permanent"."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        super().__init__(
            f"{stage!r} starts a permanent child for an event, which would never be finished: "
            'use restart="temporary", or "transient" to run it again after a crash'
        )


class ForeignLoop(ProcessError):
    """The call needs the event loop of the process."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} from another event loop than the one it lives on: "
            "make it there, or hand it over with asyncio.run_coroutine_threadsafe"
        )


class ForeignThread(ProcessError):
    """The call needs the thread of the loop of the process."""

    def __init__(self, what: str, instead: str) -> None:
        self.what = what
        super().__init__(f"{what} from a foreign thread: use {instead}, which hands it to the loop's own thread")
