"""Errors of dead-letter stores.

::

    DeadLetterError
    ├── BadDeadLetters     a store of dead letters that cannot be made
    └── NewerDeadLetters   its tables are of a newer headrace than this one
"""

from headrace.errors import HeadraceError


class DeadLetterError(HeadraceError):
    """The base of all errors of dead-letter stores."""


class BadDeadLetters(DeadLetterError):
    """A store of dead letters cannot be made. `why` is the mistake and its solution."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"the store of dead letters {why}")


class NewerDeadLetters(DeadLetterError):
    """The tables of a store are of a newer headrace than this one."""

    def __init__(self, store: str, found: int, known: int) -> None:
        self.store = store
        self.found = found
        self.known = known
        super().__init__(
            f"the tables of the dead letters in {store} are of version {found}, and this headrace knows up to {known}: "
            "install the newer one here, too; nothing was changed"
        )
