"""What checked options hold of one kind, and on which path it stands."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from pydantic import BaseModel

from headrace.config.text.tree import Path

T = TypeVar("T", bound=str)


def marked(value: object, kind: type[T], path: Path = ()) -> Iterator[tuple[Path, T]]:
    """Yield every text of that class in a model, with the keys as they are written in a file."""
    if isinstance(value, kind):
        yield path, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from marked(getattr(value, name), kind, (*path, field.alias or name))
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from marked(below, kind, (*path, key))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from marked(below, kind, (*path, index))
