"""Turns pydantic's errors into our sentences, which never show the value of a variable."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pydantic_core import ErrorDetails

from headrace.config.text.findings import CODES, Problem
from headrace.errors.validation import BOUNDS, KINDS, own_sentence, predicate

MERGE: Final = "<<"
"""The merge key of YAML 1.1."""

_SECRET = 4  # characters of the shortest secret
_TELLING = 6  # characters in a row that reveal a part of a secret
_DIGITS = re.compile(r"[-+]?[0-9]{50,}…?")  # a number that is too long for a sentence
_BARE = re.compile(r"[-+.\w]*\d[-+.\w]*|true|false", re.IGNORECASE)  # a number or boolean, which quotes turn into text
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Redacted:
    """A value in the file as sentences show it: its key, and its text.

    `is_filled` tells that a variable gave its value; `secrets` are the values of all variables around it.
    """

    key: str
    written: str
    is_filled: bool = False
    secrets: tuple[str, ...] = ()

    def of(self, predicate: str) -> str:
        """Return a sentence about the place; without a key it is about the file."""
        return f"`{self.key}` {predicate}" if self.key else f"this {predicate}"

    def hides(self, problem_of: Problem) -> bool:
        """Return whether a problem may contain a part of a variable's value, and so must not be shown as it is."""
        value = f"{problem_of.message} {problem_of.suggestion}"
        return self.is_filled or any(
            secret[at : at + _TELLING] in value for secret in self.secrets for at in _windows(secret)
        )


def _windows(secret: str) -> range:
    """Return the positions of the revealing parts of a secret; none for one that any sentence may hold."""
    return range(max(1, len(secret) - _TELLING + 1)) if len(secret.strip()) >= _SECRET else range(0)


def close(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is closest to a misspelt one."""
    found = get_close_matches(name, known, n=1)
    return found[0] if found else None


def kind_problem(details: Sequence[ErrorDetails], value: Redacted) -> Problem:
    """Return one problem for all errors about the type of one value."""
    if _DIGITS.fullmatch(value.written) and not value.is_filled:
        return Problem("bad-value", value.of("is too large a number"), value.written)
    kinds = list(dict.fromkeys(KINDS[detail["type"]].format_map(detail.get("ctx", {})) for detail in details))
    allowed = tuple(name for kind in kinds for name in _QUOTED.findall(kind))
    suggestion = None if value.is_filled else close(value.written.strip("'\""), allowed)
    if kinds == ["text"] and _BARE.fullmatch(value.written) and not value.is_filled:
        suggestion = f'"{value.written}"'
    message = value.of(f"must be {' or '.join(kinds)}, and is {value.written or 'empty'}")
    return Problem("bad-value", message, value.written, allowed, suggestion)


def problem_of(detail: ErrorDetails, value: Redacted) -> Problem:
    """Return the problem for any other error, except for unknown and missing keys."""
    context = detail.get("ctx", {})
    sentence = predicate(detail["type"], context)
    if detail["type"] in BOUNDS:
        return Problem("bad-value", value.of(f"{sentence}, and is {value.written or 'empty'}"), value.written)
    code = detail["type"].replace("_", "-")
    code = code if code in CODES else "bad-value"
    suggestion = str(context["suggestion"]) if "suggestion" in context else None
    full = Problem(code, _sentence(detail, context, value, sentence), value.written, suggestion=suggestion)
    if not value.hides(full):
        return full
    message = value.of("does not take its value; the reason is not shown, since it may reveal the value of a variable")
    return Problem(code, message, value.written)


def unknown_key(key: str, where: str, known: Sequence[str]) -> Problem:
    """Return the problem for an unknown key."""
    if key == MERGE:
        why = f"`{MERGE}` is not read here: YAML 1.2 has no merge keys, so write out the keys that it stands for"
        return Problem("unknown-key", why, key)
    return Problem("unknown-key", f"{where} has no key `{key}`", key, tuple(known), close(key, known))


def with_article(noun: str) -> str:
    """Return words with "a" or "an" before them.

    >>> with_article("map stage"), with_article("aggregate stage")
    ('a map stage', 'an aggregate stage')
    """
    return f"{'an' if noun[:1].lower() in set('aeio') else 'a'} {noun}"


def missing_key(key: str, where: str) -> Problem:
    """Return the problem for a missing key."""
    return Problem("missing-key", f"{where} needs `{key}:`")


def _sentence(detail: ErrorDetails, context: Mapping[str, object], value: Redacted, sentence: str | None) -> str:
    if sentence is not None:
        return value.of(sentence)
    why = own_sentence(detail["msg"], context)
    if context.get("is_predicate"):
        return value.of(why)
    return f"`{value.key}`: {why}" if value.key else why
