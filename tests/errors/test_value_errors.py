"""Sentences about values: one table for all of pydantic's errors."""

import re
from typing import get_args

import pytest
from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import ErrorType

from headrace.errors.validation import BOUNDS, KINDS, PREDICATES, predicate, sentence

OWN_SENTENCE = {"value_error", "assertion_error"}
"""Errors whose sentence a validator brings itself."""

TYPES = sorted(set(get_args(ErrorType)) - OWN_SENTENCE)

TEXTS = {
    "error",
    "method_name",
    "attribute",
    "class_name",
    "field_type",
    "pattern",
    "expected",
    "encoding",
    "discriminator",
}
"""What stands in a context as text where others stand as numbers."""


def context_of(kind: str) -> dict[str, object]:
    """Return a context with which pydantic itself makes an error of this type, found by asking for what it misses."""
    context: dict[str, object] = {}
    for _ in range(9):
        missing = _missing(kind, context)
        if missing is None:
            return context
        context[missing] = "x" if context.get(missing) == 1 or missing in TEXTS else 1
    pytest.fail(f"no context fits {kind}: {context}")


def _missing(kind: str, context: dict[str, object]) -> str | None:
    """Return the name that pydantic asks for, or that has a value of the wrong kind."""
    try:
        PydanticKnownError(kind, context)  # type: ignore[arg-type]  # the names are those of ErrorType
    except TypeError as error:
        return str(re.findall(r"'(\w+)'", str(error))[0])
    return None


@pytest.mark.parametrize("kind", TYPES)
def test_every_error_of_pydantic_is_said_in_our_words(kind: str) -> None:
    said = predicate(kind, context_of(kind))
    assert said is not None
    assert not re.search(
        r"\b(input|valid|dictionary|string|boolean|integer|permitted|NoneType|instance)\b", said, re.IGNORECASE
    ), said
    assert said.split()[0] in {"must", "is", "has", "holds", "cannot", "needs"}


def test_each_error_stands_in_one_table() -> None:
    names = [*KINDS, *BOUNDS, *PREDICATES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"type": "value_error", "msg": "Value error, too dear", "ctx": {"error": ValueError("x")}}, "`a`: too dear"),
        ({"type": "assertion_error", "msg": "Assertion failed, no"}, "`a`: no"),
        ({"type": "bad_value", "msg": "x", "ctx": {"why": "has no unit", "is_predicate": True, "hint": "write 7s"}},
         "`a` has no unit: write 7s"),
        ({"type": "missing", "msg": "Field required"}, "`a` is missing"),
    ],
)  # fmt: skip
def test_sentences_of_validators_have_no_words_of_pydantic(detail: dict[str, object], said: str) -> None:
    assert sentence("a", detail) == said
