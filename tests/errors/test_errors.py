"""Errors: one tree, drawn as it is, and sentences that say what, where and what to do."""

import re

import pytest

from headrace import errors
from headrace.errors import (
    BadOption,
    BadReturn,
    BufferFull,
    BufferOverflow,
    CallTimeout,
    CallToSelf,
    CannotRetain,
    CastCircle,
    ChildIsAlive,
    ChildKept,
    DemandError,
    DispatcherError,
    EventUndelivered,
    ForeignLoop,
    ForeignThread,
    GraphError,
    HandlerTimeout,
    HeadraceError,
    MailboxFull,
    MetricConflict,
    MissingCallback,
    MisspeltCallback,
    NameTaken,
    NoCallback,
    NoChild,
    NoProcess,
    NotStarted,
    OutsideProcess,
    PermanentChild,
    PoisonEvent,
    ProcessDown,
    ReaderTooSlow,
    ReplyGiven,
    RestartsExhausted,
    ServiceTimeout,
    StartFailed,
    SubscriptionError,
    TaskFailed,
    TaskTimeout,
    TooManyChildren,
    UnknownOutput,
    UnknownPartition,
    Unrecoverable,
    WaitForSelf,
    describe,
)

SENTENCES: list[tuple[HeadraceError, str]] = [
    (NoProcess("a"), "process 'a' is not running: "),
    (UnknownOutput("eu", ["us"]), "the stage emitted an event for the output 'eu', which it does not have: emit "),
    (HandlerTimeout("a", 5.0), "stage 'a' took longer than 5 s: "),
    (PoisonEvent("a", 3), "the event has crashed stage 'a' 3 times: "),
    (EventUndelivered("a", "crash"), "stage 'a' accepted the event, and crashed while it handled the event: "),
    (ProcessDown("a", KeyError("k")), "process 'a' ended before it answered (KeyError: 'k'): "),
    (CallTimeout("a", 5.0), "process 'a' did not answer within 5 s: "),
    (CallToSelf("a"), "process 'a' called itself and would wait forever: "),
    (WaitForSelf("a", "its own end"), "a callback of process 'a' waits for its own end, which waits for that callback"),
    (MailboxFull("a", 7), "the mailbox of process 'a' is full (7 calls and casts wait): "),
    (CastCircle(["a", "b", "a"], 7), "processes would wait for ever for room in each other's full mailboxes "),
    (ReplyGiven("a"), "'a' answers a call that it has answered already: "),
    (NotStarted([], "stop()"), "list uses self.stop() while it is no process: "),
    (OutsideProcess("x"), "x needs a running process, and none runs here: "),
    (NoCallback("a", "handle_timeout(self)"), "the class of process 'a' has no handle_timeout(self) of its own: "),
    (ForeignLoop("call to 'a'"), "call to 'a' from another event loop than the one it lives on: "),
    (NameTaken("a"), "the name 'a' is taken by a live process: "),
    (StartFailed("a", ValueError("v")), "'a' could not start: ValueError: v"),
    (
        RestartsExhausted("a", 3, 5.0, "normal"),
        "'a' failed again after 3 restarts within 5 s, and its supervisor exited",
    ),
    (Unrecoverable("the disk is full: make room"), "the disk is full: make room"),
    (BadOption("keys", "both", "'unique'"), "keys is 'both', and must be 'unique'"),
    (NoChild("s", "a", ["b"]), "supervisor 's' has no child 'a': it has 'b'"),
    (ChildIsAlive("s", "a"), "child 'a' of supervisor 's' is alive: "),
    (ChildKept("s", "a"), "supervisor 's' keeps the spec of 'a', which has ended: "),
    (TaskFailed("a", KeyError("k")), "task 'a' has no result (KeyError: 'k'): "),
    (TaskTimeout("a", 5.0), "task 'a' had no result within 5 s: "),
    (TooManyChildren("a", 7), "'a' has 7 children, as many as it may: "),
    (PermanentChild("a"), "'a' starts a permanent child for an event, which would never be finished: "),
    (ForeignThread("call to 'a'", "x"), "call to 'a' from a foreign thread: use x, "),
    (DemandError("min_demand", 7, "below max_demand"), "min_demand is 7, and must be below max_demand"),
    (MissingCallback([], "handle_demand"), "list has no handle_demand of its own: "),
    (
        MisspeltCallback([], "handle_canel", "handle_cancel"),
        "list has a method handle_canel, which no stage calls; did you mean handle_cancel? ",
    ),
    (BadReturn("s", "handle_events", 3, "a list"), "handle_events of stage 's' returned int, and must return a list"),
    (BufferFull("s", 7), "stage 's' has no room for the events (it buffers 7): "),
    (CannotRetain("s"), "stage 's' retains events beyond their batch, and has a concurrency: "),
    (BufferOverflow("s"), "the buffer of stage 's' is full: speed up its consumers"),
    (ReaderTooSlow("s", 5.0), "the reader of stage 's' did not read for 5 s and has lost its place: "),
    (DispatcherError("x", "is not known"), "the dispatcher x is not known"),
    (UnknownPartition(3, [0, 1]), "the hash of the partition dispatcher returned 3, which is none of its partitions "),
    (SubscriptionError("c", "p", "has ended", "ask no more"), "the subscription of 'c' to 'p' has ended: ask no more"),
    (MetricConflict("m", "s", "s"), "stage 's' declares the metric 'm' twice, with another kind, other labels or "),
    (MetricConflict("m", "s", "stage 't'"), "stage 's' declares the metric 'm' and stage 't' exports a metric that "),
    (ServiceTimeout("jobs", "close", 75.0), "service 'jobs' did not close within 75 s: "),
    (GraphError("s", "subscribes to itself"), "stage 's' subscribes to itself"),
]


def _tree() -> dict[str, str]:
    """Return the class above each class that the drawing shows."""
    above: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        drawn = re.match(r"    ([│ ├└─]*)([A-Z]\w+)", line)
        if drawn is not None:
            depth = len(drawn[1]) // 4
            path[depth:] = [drawn[2]]
            above[drawn[2]] = path[depth - 1] if depth else "Exception"
    return above


def _classes(root: type[HeadraceError]) -> list[type[HeadraceError]]:
    below = [found for child in root.__subclasses__() for found in _classes(child)]
    return [root, *(found for found in below if found.__module__.startswith(errors.__name__))]


def test_the_tree_is_drawn_as_it_is() -> None:
    assert _tree() == {found.__name__: found.__base__.__name__ for found in _classes(HeadraceError) if found.__base__}


def test_every_leaf_of_the_tree_has_its_sentence_tested() -> None:
    leaves = {
        found
        for found in _classes(HeadraceError)
        if found not in (HeadraceError, errors.ProcessError, errors.StageError)
    }
    assert leaves == {type(error) for error, _ in SENTENCES}


@pytest.mark.parametrize(("error", "beginning"), SENTENCES, ids=lambda value: type(value).__name__)
def test_an_error_says_what_is_wrong_in_one_sentence(error: HeadraceError, beginning: str) -> None:
    assert str(error).startswith(beginning)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("normal", "it was done"),
        ("shutdown", "it was stopped"),
        (KeyError("total"), "KeyError: 'total'"),
        (TimeoutError(), "TimeoutError"),
        (OSError(), "OSError"),
        (FileNotFoundError(2, "No such file", "x"), "[Errno 2] No such file: 'x'"),
        (NameTaken("a"), str(NameTaken("a"))),
        (Unrecoverable(), "Unrecoverable"),
    ],
)
def test_a_reason_is_said_in_words(reason: object, words: str) -> None:
    assert describe(reason) == words


@pytest.mark.parametrize(
    "make", [ProcessDown, StartFailed, lambda name, reason: RestartsExhausted(name, 3, 5.0, reason)]
)
def test_an_error_that_tells_of_another_has_it_as_its_cause(make: type[ProcessDown]) -> None:
    reason = KeyError("k")
    assert make("a", reason).__cause__ is reason
    assert make("a", "shutdown").__cause__ is None
