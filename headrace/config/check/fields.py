"""The keys that a pydantic model knows, at any depth: what may stand where somebody wrote something else."""

from collections.abc import Iterator, Sequence
from typing import get_args

from pydantic import BaseModel

from headrace.config.text.tree import Step

Model = type[BaseModel]


def keys_of(model: Model) -> tuple[str, ...]:
    """Return the keys of one model as they are written in a file."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def keys_at(model: Model, loc: Sequence[Step]) -> tuple[str, ...]:
    """Return the keys that are known at `loc`; where several models may stand, those of all of them."""
    models = [model]
    for step in loc:
        models = list(_below(models, step))
    return tuple(dict.fromkeys(key for one in models for key in keys_of(one)))


def _below(models: Sequence[Model], step: Step) -> Iterator[Model]:
    """Go one step down: into a key's models, or into the branch of a union; any other step leads nowhere."""
    fields = [field for model in models for name, field in model.model_fields.items() if step == (field.alias or name)]
    if fields:
        for field in fields:
            yield from _models(field.annotation)
    else:
        named = [model for model in models if model.__name__ == step]
        yield from named or models


def _models(annotation: object) -> Iterator[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
