"""The words that options about jobs are written in; the config floor looks up the names that they mark."""

from typing import Annotated

from pydantic import AfterValidator, Field

_NAME_LENGTH = 127  # Oban's check


class WorkerName(str):
    """The name of a worker; the config floor says where it stands for one that is not there."""

    __slots__ = ()


class QueueName(str):
    """The name of a queue that a stage takes jobs of."""

    __slots__ = ()


WorkerField = Annotated[str, Field(min_length=1, max_length=_NAME_LENGTH), AfterValidator(WorkerName)]
"""A worker's name; its value is a `WorkerName`."""

QueueField = Annotated[str, Field(min_length=1, max_length=_NAME_LENGTH), AfterValidator(QueueName)]
"""A queue's name; its value is a `QueueName`."""
