"""Pydantic's errors in our words: one clear sentence each, which never shows what a variable held."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic_core import ErrorDetails

from headrace.config.findings import CODES, Fault

KINDS: Mapping[str, str] = {
    "string_type": "text",
    "path_type": "a path",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "empty",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
}
"""Errors that say what kind of value must stand there; those of several branches of a union are one sentence."""

_BOUNDS: Mapping[str, str] = {
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "string_too_short": "text of {min_length} or more characters",
    "string_too_long": "text of {max_length} characters or less",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
}
_MERGE = "<<"  # YAML 1.1's
_SHOULD = re.compile(r"(Input|String|Value) should ")  # how pydantic begins its own sentences
_SECRET = 4  # characters that a secret has at least
_TELLING = 6  # characters in a row that tell something of a secret
_BARE = re.compile(r"[-+.\w]*\d[-+.\w]*|true|false", re.IGNORECASE)  # what quotes make text of
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Told:
    """What a sentence may tell of a place: what it is called, and what is written there.

    `is_filled` says that a variable gave its value, `secrets` are all that variables gave around it.
    """

    key: str
    written: str
    is_filled: bool = False
    secrets: tuple[str, ...] = ()

    def of(self, predicate: str) -> str:
        """Return a sentence about the place; without a name it is about the file."""
        return f"`{self.key}` {predicate}" if self.key else f"this {predicate}"

    def hides(self, fault: Fault) -> bool:
        """Whether a fault must not be shown as it is, because it may tell a part of a variable's value."""
        told = f"{fault.message} {fault.suggestion}"
        return self.is_filled or any(
            secret[at : at + _TELLING] in told for secret in self.secrets for at in _windows(secret)
        )


def _windows(secret: str) -> range:
    """Return where the telling parts of a secret begin; of a very short one every sentence would hold some."""
    return range(max(1, len(secret) - _TELLING + 1)) if len(secret.strip()) >= _SECRET else range(0)


def close(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that somebody may have meant."""
    found = get_close_matches(word, known, n=1)
    return found[0] if found else None


def kind_fault(details: Sequence[ErrorDetails], told: Told) -> Fault:
    """Return one fault for all errors about the kind of one value."""
    kinds = list(dict.fromkeys(KINDS[detail["type"]].format_map(detail.get("ctx", {})) for detail in details))
    allowed = tuple(word for kind in kinds for word in _QUOTED.findall(kind))
    suggestion = None if told.is_filled else close(told.written.strip("'\""), allowed)
    if kinds == ["text"] and _BARE.fullmatch(told.written) and not told.is_filled:
        suggestion = f'"{told.written}"'
    message = told.of(f"must be {' or '.join(kinds)}, and is {told.written or 'empty'}")
    return Fault("bad-value", message, told.written, allowed, suggestion)


def fault(detail: ErrorDetails, told: Told) -> Fault:
    """Return the fault for an error of any other sort, except for unknown and missing keys."""
    context = detail.get("ctx", {})
    bound = _BOUNDS.get(detail["type"])
    if bound is not None:
        message = told.of(f"must be {bound.format_map(context)}, and is {told.written or 'empty'}")
        return Fault("bad-value", message, told.written)
    code = detail["type"].replace("_", "-")
    code = code if code in CODES else "bad-value"
    suggestion = str(context["suggestion"]) if "suggestion" in context else None
    full = Fault(code, _sentence(detail, context, told), told.written, suggestion=suggestion)
    if not told.hides(full):
        return full
    message = told.of("does not take its value; why is not shown, because it may tell what a variable holds")
    return Fault(code, message, told.written)


def unknown_key(key: str, where: str, known: Sequence[str]) -> Fault:
    """Return the fault for a key that nobody reads."""
    hint = ": YAML 1.2 has no merge keys, so write out what they stand for" if key == _MERGE else ""
    return Fault("unknown-key", f"{where} has no key `{key}`{hint}", key, tuple(known), close(key, known))


def missing_key(key: str, where: str) -> Fault:
    """Return the fault for a key that is not there."""
    return Fault("missing-key", f"{where} needs `{key}:`")


def _sentence(detail: ErrorDetails, context: Mapping[str, object], told: Told) -> str:
    why = str(context.get("why") or detail["msg"])
    why = why.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    hint = f": {context['hint']}" if context.get("hint") else ""
    if _SHOULD.match(why):
        return told.of(f"must {_SHOULD.sub('', why)}{hint}")
    if context.get("is_predicate"):
        return told.of(f"{why}{hint}")
    return f"`{told.key}`: {why}{hint}" if told.key else f"{why}{hint}"
