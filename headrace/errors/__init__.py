"""Every error of headrace, in one tree: callers catch a branch, never a message.

::

    HeadraceError
    ├── ProcessError             a process, its mailbox, its supervisor
    │   ├── NoProcess            no process has that name or reference
    │   ├── ProcessDown          the process ended before it answered
    │   ├── CallTimeout          the process did not answer in time
    │   ├── CallToSelf           a process would wait for itself
    │   │   └── WaitForSelf      a callback waits for an end that waits for the callback
    │   ├── ReplyGiven           a reply is given twice
    │   ├── MailboxFull          the mailbox has no free place
    │   │   └── CastCircle       processes would wait for ever for places in each other's full mailboxes
    │   ├── NameTaken            another live process has the name
    │   ├── NotStarted           an object uses its process before the start, or after the end
    │   ├── OutsideProcess       the call needs a running process, and none runs
    │   ├── NoCallback           the class of a process lacks a callback
    │   ├── StartFailed          the `init` of a process failed
    │   ├── NoChild              a supervisor has no child of that name
    │   ├── ChildIsAlive         the call needs a child that has ended
    │   ├── ChildKept            a child has ended, and its supervisor keeps its name and spec
    │   ├── RestartsExhausted    the children of a supervisor crashed too often
    │   ├── TaskFailed           a task raised, or was stopped, before it had a result
    │   ├── TaskTimeout          a task had no result in time
    │   ├── BadOption            an option of a process or a task stream is not valid
    │   ├── TooManyChildren      a supervisor has as many children as it may
    │   ├── Unrecoverable        a restart would not help: the supervisor exits at once
    │   │   └── PermanentChild   a child for one event that would never finish
    │   ├── ForeignLoop          the call needs the loop of the process
    │   └── ForeignThread        the call needs the thread of that loop
    └── StageError               a stage, its subscriptions, its graph
        ├── DemandError          max_demand and min_demand do not fit
        ├── MissingCallback      a stage class lacks a required callback
        ├── MisspeltCallback     a method looks like a callback, and would never be called
        ├── BadReturn            a callback returned an invalid value
        ├── HandlerTimeout       a callback took too long over its events
        ├── PoisonEvent          an event has crashed its stage too often
        ├── EventUndelivered     a stage accepted an event, then crashed, or the run ended
        ├── BufferFull           a stage has no free place for new events
        ├── BufferOverflow       a full buffer has no place for an event, which fails
        ├── CannotRetain         a stage retains events and has several in flight
        ├── DispatcherError      a dispatcher does not exist, or cannot be made
        ├── UnknownPartition     the hash of a partition dispatcher names an unknown partition
        ├── UnknownOutput        a stage with several outputs emits an event for none of them
        ├── ReaderTooSlow        the reader of a stage did not read for too long
        ├── SubscriptionError    a subscription cannot do that
        ├── MetricConflict       two metrics of one run have the same name
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

# Defined in a layer above, and loaded on first use: configs name them in `retry: {not_on: [...]}`.
_OF_HTTP = ("RequestFailed", "PeerSilent", "PeerBusy", "PeerRefused")
__getattr__, _ = lazy_names(__name__, dict.fromkeys(_OF_HTTP, "http.client"))
