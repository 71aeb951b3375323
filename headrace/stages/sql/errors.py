"""What goes wrong with a database of a user."""

from headrace.errors import HeadraceError, StageError


class BadDatabase(HeadraceError):
    """A database cannot be what a config says; `why` is a sentence that shows no password."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class DatabaseFailed(StageError):
    """A database cannot be reached or used at the moment; nothing of what was asked was done."""

    def __init__(self, database: str, why: str, advice: str) -> None:
        self.database = database
        super().__init__(f"the database {database} cannot be used ({why}): {advice}")


class DatabaseUnreachable(DatabaseFailed):
    """A database does not answer, or says that it will soon: the same may work in a while."""

    def __init__(self, database: str, why: str) -> None:
        super().__init__(database, why, "it is tried again; see that it runs and can be reached")


class RowRefused(StageError):
    """The database refuses one row, whatever becomes of the others."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the database refuses the row: {why}")
