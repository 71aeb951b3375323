"""Every error of headrace, in one tree: callers catch a branch, never a message.

::

    HeadraceError
    ├── ProcessError             a process, its mailbox, its supervisor
    │   ├── NoProcess            no process has that name or reference
    │   ├── ProcessDown          it ended before it answered
    │   ├── CallTimeout          it did not answer in time
    │   ├── CallToSelf           it would wait for itself
    │   │   └── WaitForSelf      its callback waits for an end that waits for the callback
    │   ├── ReplyGiven           a reply is given twice
    │   ├── MailboxFull          it has taken in all it may
    │   │   └── CastCircle       processes would wait for room in each other's full mailboxes, for ever
    │   ├── NameTaken            another live process has the name
    │   ├── NotStarted           an object asks for what its process gives it later
    │   ├── OutsideProcess       no process runs that it could be about
    │   ├── NoCallback           a process is to run a callback that its class does not have
    │   ├── StartFailed          its `init` failed
    │   ├── NoChild              a supervisor has no child of that name
    │   ├── ChildIsAlive         a child has not ended, and must have for this
    │   ├── ChildKept            a child has ended, and its supervisor keeps the name for it
    │   ├── RestartsExhausted    its supervisor gave up
    │   ├── TaskFailed           a task raised, or was stopped, before it had a result
    │   ├── TaskTimeout          a task had no result in time
    │   ├── BadOption            an option of a process or a task stream is not valid
    │   ├── TooManyChildren      its supervisor may have no more children at a time
    │   ├── Unrecoverable        no restart would mend it: the supervisor gives up at once
    │   │   └── PermanentChild   a child for one event that would never finish
    │   ├── ForeignLoop          the call needs the loop on which the process lives
    │   └── ForeignThread        the call needs the loop's own thread
    └── StageError               a stage, its subscriptions, its graph
        ├── DemandError          max_demand and min_demand do not fit
        ├── MissingCallback      a stage class without the callback that makes it one
        ├── MisspeltCallback     a stage class with a method that looks like a callback and is none
        ├── BadReturn            a callback returned what it must not
        ├── HandlerTimeout       a callback took longer over its events than it may
        ├── PoisonEvent          an event has brought its stage down too often
        ├── EventUndelivered     an event went no further: its stage crashed, or the run ended
        ├── BufferFull           a stage has no room for events that are handed to it
        ├── BufferOverflow       an event found no room in a buffer that is to say so
        ├── CannotRetain         a stage that has several events under way holds some
        ├── DispatcherError      a dispatcher that does not exist, or cannot be made
        ├── UnknownPartition     a partition dispatcher's hash names a partition that is none
        ├── UnknownOutput        a stage with several outputs emits an event for none of them
        ├── ReaderTooSlow        whoever reads a stage stood still for too long
        ├── SubscriptionError    a subscription cannot do what is asked of it
        ├── MetricConflict       two metrics of one stage claim one name
        ├── ServiceTimeout       a service of a run missed the deadline of a step
        └── GraphError           stages that cannot be linked
    (expressions, units, built-in stages and configs add their branch in their own errors file)
"""

from headrace.errors.otp import (
    BadOption,
    CallTimeout,
    CallToSelf,
    CastCircle,
    ChildIsAlive,
    ChildKept,
    ForeignLoop,
    ForeignThread,
    MailboxFull,
    NameTaken,
    NoCallback,
    NoChild,
    NoProcess,
    NotStarted,
    OutsideProcess,
    PermanentChild,
    ProcessDown,
    ProcessError,
    ReplyGiven,
    RestartsExhausted,
    StartFailed,
    TaskFailed,
    TaskTimeout,
    TooManyChildren,
    Unrecoverable,
    WaitForSelf,
)
from headrace.errors.pipeline import (
    BadReturn,
    BufferFull,
    BufferOverflow,
    CannotRetain,
    DemandError,
    DispatcherError,
    EventUndelivered,
    GraphError,
    HandlerTimeout,
    MetricConflict,
    MissingCallback,
    MisspeltCallback,
    PoisonEvent,
    ReaderTooSlow,
    ServiceTimeout,
    StageError,
    SubscriptionError,
    UnknownOutput,
    UnknownPartition,
)
from headrace.errors.root import HeadraceError, class_and_message, describe, message_of, short_repr
from headrace.lazy import lazy_names

__all__ = [
    "BadOption",
    "BadReturn",
    "BufferFull",
    "BufferOverflow",
    "CallTimeout",
    "CallToSelf",
    "CannotRetain",
    "CastCircle",
    "ChildIsAlive",
    "ChildKept",
    "DemandError",
    "DispatcherError",
    "EventUndelivered",
    "ForeignLoop",
    "ForeignThread",
    "GraphError",
    "HandlerTimeout",
    "HeadraceError",
    "MailboxFull",
    "MetricConflict",
    "MissingCallback",
    "MisspeltCallback",
    "NameTaken",
    "NoCallback",
    "NoChild",
    "NoProcess",
    "NotStarted",
    "OutsideProcess",
    "PermanentChild",
    "PoisonEvent",
    "ProcessDown",
    "ProcessError",
    "ReaderTooSlow",
    "ReplyGiven",
    "RestartsExhausted",
    "ServiceTimeout",
    "StageError",
    "StartFailed",
    "SubscriptionError",
    "TaskFailed",
    "TaskTimeout",
    "TooManyChildren",
    "UnknownOutput",
    "UnknownPartition",
    "Unrecoverable",
    "WaitForSelf",
    "class_and_message",
    "describe",
    "message_of",
    "short_repr",
]

# Defined above this layer, and loaded on first use: a config names them in `retry: {not_on: [...]}`.
_OF_HTTP = ("RequestFailed", "PeerSilent", "PeerBusy", "PeerRefused")
__getattr__, _ = lazy_names(__name__, dict.fromkeys(_OF_HTTP, "http.client"))
