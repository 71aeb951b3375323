"""JSON text as stores keep it, and what it means to merge into it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from headrace.jobs.errors import NotJson
from headrace.jobs.job import NewJob

T = TypeVar("T", dict[str, object], list[object])

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)
"""What contains itself is found by the depth, and so costs nothing where nothing does."""


def _encoding() -> Callable[[object], str]:
    """Return what makes text: C's encoder, made once. The one above makes it anew for each text, at twice the cost."""
    make = getattr(json.encoder, "c_make_encoder", None)  # no other Python has it
    if make is None:
        return _ENCODER.encode
    parts = make(None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    return lambda value: "".join(parts(value, 0))


_ENCODE: Final = _encoding()

_DECODER: Final = json.JSONDecoder()


def to_json(value: object) -> str:
    """Return JSON text; an empty object or list, which most are, at no cost.

    Raises TypeError or ValueError on what is no JSON: half a surrogate pair, which no database takes, and what is not
    finite, too.
    """
    if not value:
        return "[]" if isinstance(value, list) else "{}"
    try:
        text = _ENCODE(value)
    except RecursionError:
        raise ValueError("it contains itself, or is too deep") from None  # noqa: TRY003 - as json itself says it
    if not text.isascii():
        text.encode()
    return text


def from_json(text: str | None, otherwise: T) -> T:
    """Return what JSON text says, or `otherwise` when it is none, or says something else."""
    try:
        found, end = _DECODER.raw_decode(text or "null")  # what json.loads does, in a third of the time
    except (TypeError, ValueError):
        end = 0
    if text and end != len(text):  # it begins or ends with blanks, is bytes, or is no JSON
        try:
            found = json.loads(text)
        except ValueError:
            return otherwise
    return found if isinstance(found, type(otherwise)) else otherwise


def texts_of(job: NewJob) -> tuple[str, str]:
    """Return the args and the meta of a job as JSON. Raises NotJson."""
    try:
        return to_json(job.args), to_json(job.meta)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(job.worker, str(error)) from error


def merged(values: Mapping[str, object], change: Mapping[str, object]) -> dict[str, object]:
    """Return the values with a change merged in: keys are replaced whole, and None takes one away.

    >>> merged({"cursor": {"page": 1}, "note": "x"}, {"cursor": {"line": 5}, "note": None})
    {'cursor': {'line': 5}}
    """
    return {key: value for key, value in {**values, **change}.items() if value is not None or key not in change}


def tidy(tags: Sequence[str]) -> list[str]:
    """Return tags as Oban keeps them: in small letters, trimmed, each once."""
    return list(dict.fromkeys(tag.strip().lower() for tag in tags))
