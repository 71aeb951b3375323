"""Fork hooks: SQLite forbids to carry a connection over a fork (How To Corrupt, 2.6), and threads end there."""

import os
import threading
from collections.abc import Callable
from typing import Final
from weakref import WeakSet


class Forkable:
    """The base of objects that own a thread, a lock or a connection. The hooks run in the thread that forks."""

    def before_fork(self) -> None:
        """Close the resources that the child must not inherit."""

    def after_fork_in_parent(self) -> None:
        """Use the resources again."""

    def after_fork_in_child(self) -> None:
        """Forget the thread and its waiting callers: the child has neither."""


_forkable: Final[WeakSet[Forkable]] = WeakSet()
"""The objects with fork hooks. It is module state since Python calls the hooks for the whole OS process."""

_forking: Final = threading.Lock()
_concerned: Final[list[Forkable]] = []


def add_fork_hooks(forkable: Forkable) -> None:
    """Call the hooks of `forkable` at each fork while it exists; the reference is weak."""
    with _forking:
        _forkable.add(forkable)


def _before() -> None:
    _forking.acquire()
    _concerned.extend(_forkable)
    for one in _concerned:
        one.before_fork()


def _after(call: Callable[[Forkable], None]) -> None:
    try:
        for one in _concerned:
            call(one)
    finally:
        _concerned.clear()
        _forking.release()


os.register_at_fork(
    before=_before,
    after_in_parent=lambda: _after(lambda one: one.after_fork_in_parent()),
    after_in_child=lambda: _after(lambda one: one.after_fork_in_child()),
)
