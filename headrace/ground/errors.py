"""Every error of headrace, in one tree: callers catch a branch, never a message.

::

    HeadraceError
    ├── ProcessError             a process, its mailbox, its supervisor
    │   ├── NoProcess            nobody lives under that name or reference
    │   ├── ProcessDown          it ended before it answered
    │   ├── CallTimeout          it did not answer in time
    │   ├── CallToSelf           it would wait for itself
    │   ├── ReplyGiven           a reply is given twice
    │   ├── MailboxFull          it has taken in all it may
    │   │   └── CastCircle       processes would wait for room in each other's full mailboxes, for ever
    │   ├── NameTaken            another live process has the name
    │   ├── NotStarted           an object asks for what its process gives it later
    │   ├── OutsideProcess       no process runs that it could be about
    │   ├── NoCallback           a process is to run a callback that its class does not have
    │   ├── StartFailed          its `init` failed
    │   ├── NoChild              a supervisor has no child of that name
    │   ├── ChildLives           a child has not ended, and must have for this
    │   ├── ChildKept            a child has ended, and its supervisor keeps the name for it
    │   ├── RestartsExhausted    its supervisor gave up
    │   ├── TaskFailed           a task raised, or was stopped, before it had a result
    │   ├── TaskTimeout          a task had no result in time
    │   ├── BadOption            what a process or a stream of tasks is told does not fit
    │   ├── TooManyChildren      its supervisor may have no more children at a time
    │   ├── Unrecoverable        no restart would mend it: the supervisor gives up at once
    │   │   └── PermanentChild   a child for one event that would never finish
    │   ├── ForeignLoop          the call needs the loop on which the process lives
    │   └── ForeignThread        the call needs the loop's own thread
    └── StageError               a stage, its subscriptions, its graph
        ├── DemandError          max_demand and min_demand do not fit
        ├── MissingCallback      a stage class without the callback that makes it one
        ├── BadReturn            a callback returned what it must not
        ├── BufferFull           a stage has no room for events from outside
        ├── DispatcherError      a dispatcher that does not exist, or cannot be made
        ├── UnknownPartition     a partition dispatcher's hash names a partition that is none
        ├── ReaderTooSlow        whoever reads a stage stood still for too long
        ├── SubscriptionError    a subscription cannot do what is asked of it
        ├── MetricConflict       two metrics of one stage claim one name
        └── GraphError           stages that cannot be linked
    (expressions, units, built-in stages and configs add their own branch in their own room)
"""

from collections.abc import Iterable, Sequence


class HeadraceError(Exception):
    """The root: one sentence that says what, where and what to do."""


def describe(reason: object) -> str:
    """Return in words why a process ended.

    >>> describe("shutdown"), describe(KeyError("total")), describe(TimeoutError())
    ('it was told to stop', "KeyError: 'total'", 'TimeoutError')
    """
    if not isinstance(reason, BaseException):
        return {"normal": "it was done", "shutdown": "it was told to stop"}.get(str(reason), str(reason))
    text = str(reason)
    if text and isinstance(reason, HeadraceError | OSError):
        return text
    return f"{type(reason).__name__}: {text}" if text else type(reason).__name__


class ProcessError(HeadraceError):
    """Something about a process, its mailbox or its supervisor."""


class NoProcess(ProcessError):
    """Nobody lives under that name or reference."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"process {name!r} is not running: start it first, or look its name up again after a restart")


class ProcessDown(ProcessError):
    """The process ended before it answered; `reason` says why."""

    def __init__(self, name: str, reason: object) -> None:
        self.name = name
        self.reason = reason
        super().__init__(
            f"process {name!r} ended before it answered ({describe(reason)}): call it again if it restarts"
        )
        self.__cause__ = reason if isinstance(reason, BaseException) else None


class CallTimeout(ProcessError):
    """The process did not answer in time; its answer, if one comes, is dropped."""

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


class ReplyGiven(ProcessError):
    """A reply is given a second time."""

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
    """Processes would wait for room in each other's full mailboxes, for ever; `names` has them in order."""

    def __init__(self, names: Sequence[str], limit: int) -> None:
        super().__init__(names[1], limit)
        self.names = tuple(names)
        circle = " -> ".join(repr(name) for name in names)
        sentence = (
            f"processes wait for room in each other's full mailboxes, and would for ever ({circle}): use cast_nowait "
            "in one of them and decide what to do without, or give them a larger mailbox_limit"
        )
        self.args = (sentence,)


class NameTaken(ProcessError):
    """Another live process has the name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the name {name!r} is taken by a live process: stop that one first, or choose another name")


class NotStarted(ProcessError):
    """An object uses a word of its process before it has one, or when it is the object of a former life."""

    def __init__(self, found: object, word: str) -> None:
        self.word = word
        super().__init__(
            f"{type(found).__name__} uses self.{word} while it is no process: "
            "use it from init() to terminate(), not in __init__, nor when its process has ended or was restarted"
        )


class OutsideProcess(ProcessError):
    """Something that is about the running process is done where none runs."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} is about the process that runs, and none does here: say which one with its Ref")


class NoCallback(ProcessError):
    """A process is to run a callback that its class does not have."""

    def __init__(self, name: str, callback: str) -> None:
        self.name = name
        self.callback = callback
        super().__init__(
            f"the class of process {name!r} has no {callback} of its own: write it, for the process has asked for it"
        )


class StartFailed(ProcessError):
    """The `init` of a process failed; `reason` says why."""

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


class ChildLives(ProcessError):
    """A child lives, and must have ended for what is wanted of it."""

    def __init__(self, supervisor: str, child: str) -> None:
        self.supervisor = supervisor
        self.child = child
        super().__init__(f"child {child!r} of supervisor {supervisor!r} lives: terminate_child it first")


class ChildKept(ProcessError):
    """A child of that name has ended, and its supervisor keeps its spec."""

    def __init__(self, supervisor: str, child: str) -> None:
        self.supervisor = supervisor
        self.child = child
        super().__init__(
            f"supervisor {supervisor!r} keeps the spec of {child!r}, which has ended: restart_child or delete_child it"
        )


class RestartsExhausted(ProcessError):
    """A supervisor gave up: its children failed more often than it may restart them."""

    def __init__(self, child: str, restarts: int, seconds: float, reason: object) -> None:
        self.child = child
        self.restarts = restarts
        self.seconds = seconds
        self.reason = reason
        super().__init__(
            f"{child!r} failed again after {restarts} restarts within {seconds:g} s, and its supervisor gave up; "
            f"the last reason was this: {describe(reason)}"
        )
        self.__cause__ = reason if isinstance(reason, BaseException) else None


class TaskFailed(ProcessError):
    """A task ended before it had a result; `reason` says why."""

    def __init__(self, name: str, reason: object) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"task {name!r} has no result ({describe(reason)}): mend that, and start it again")
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
    """A supervisor has as many children as it may have at a time."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        super().__init__(
            f"{name!r} has {limit} children, as many as it may: wait until one has ended, or raise its max_children"
        )


class BadOption(ProcessError):
    """An option of a process, a supervisor or a stream of tasks is not what it must be."""

    def __init__(self, option: str, found: object, allowed: str) -> None:
        self.option = option
        self.found = found
        self.allowed = allowed
        super().__init__(f"{option} is {found!r}, and must be {allowed}")


class Unrecoverable(ProcessError):
    """What went wrong would go wrong again after a restart: the supervisor gives up at once, and the run ends with it.

    Raise it with one sentence that says what, where and what to do.
    """


class PermanentChild(Unrecoverable):
    """A consumer supervisor is to start a child of restart type "permanent"."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        super().__init__(
            f"{stage!r} starts a permanent child for an event, which would never be finished: "
            'say restart="temporary", or "transient" to have it run again after a crash'
        )


class ForeignLoop(ProcessError):
    """The call needs the event loop on which the process lives."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} from another event loop than the one it lives on: "
            "make it there, or hand it over with asyncio.run_coroutine_threadsafe"
        )


class ForeignThread(ProcessError):
    """The call needs the thread of the loop on which the process lives."""

    def __init__(self, what: str, instead: str) -> None:
        self.what = what
        super().__init__(f"{what} from a foreign thread: use {instead}, which hands it to the loop's own thread")


class StageError(HeadraceError):
    """Something about a stage, its subscriptions or its graph."""


class DemandError(StageError):
    """`max_demand` and `min_demand` do not fit together (GenStage's `bad_opts`)."""

    def __init__(self, option: str, found: object, allowed: str) -> None:
        self.option = option
        self.found = found
        self.allowed = allowed
        super().__init__(f"{option} is {found!r}, and must be {allowed}")


class MissingCallback(StageError):
    """A stage class lacks the callback that makes it one."""

    def __init__(self, found: object, callback: str) -> None:
        self.callback = callback
        super().__init__(
            f"{type(found).__name__} has no {callback} of its own: write it, for it is what the stage does"
        )


class BadReturn(StageError):
    """A callback returned something that it must not."""

    def __init__(self, stage: str, callback: str, found: object, allowed: str) -> None:
        self.stage = stage
        self.callback = callback
        self.found = found
        super().__init__(f"{callback} of stage {stage!r} returned {type(found).__name__}, and must return {allowed}")


class DispatcherError(StageError):
    """A dispatcher that does not exist, or cannot be made."""

    def __init__(self, dispatcher: str, why: str) -> None:
        self.dispatcher = dispatcher
        super().__init__(f"the dispatcher {dispatcher} {why}")


class UnknownPartition(StageError):
    """A partition dispatcher's hash names a partition that is none; the event fails alone."""

    def __init__(self, found: object, partitions: Iterable[object]) -> None:
        self.found = found
        super().__init__(
            f"the hash of the partition dispatcher returned {found!r:.100}, which is none of its partitions "
            f"({', '.join(map(repr, partitions))}): return one of those, or None for an event that nobody is to get"
        )


class SubscriptionError(StageError):
    """A subscription cannot do what is asked of it."""

    def __init__(self, consumer: str, producer: str, why: str, advice: str) -> None:
        self.consumer = consumer
        self.producer = producer
        super().__init__(f"the subscription of {consumer!r} to {producer!r} {why}: {advice}")


class BufferFull(StageError):
    """A stage has no room for events from outside; it has taken none of them."""

    def __init__(self, stage: str, limit: int) -> None:
        self.stage = stage
        self.limit = limit
        super().__init__(
            f"stage {stage!r} has no room for the events (it buffers {limit}): "
            "use `await emit`, which waits for room, or turn whoever sent them away for now"
        )


class ReaderTooSlow(StageError):
    """Whoever reads a stage stood still for longer than it may; what it had not read goes to others."""

    def __init__(self, stage: str, seconds: float) -> None:
        self.stage = stage
        self.seconds = seconds
        super().__init__(
            f"the reader of stage {stage!r} stood still for {seconds:g} s and has lost its place: "
            "read quicker, or give it a longer patience_seconds"
        )


class MetricConflict(StageError):
    """A stage declares a metric under the name of another one of its own, which differs."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        super().__init__(
            f"the metric {metric!r} is declared twice, with another kind, other labels or other buckets: "
            "give one of the two another name"
        )


class GraphError(StageError):
    """Stages that cannot be linked; `stage` is the one to mend, or the name of the whole pipeline."""

    def __init__(self, stage: str, why: str, *, what: str = "stage") -> None:
        self.stage = stage
        self.why = why
        super().__init__(f"{what} {stage!r} {why}")
