"""Sentences about invalid values: one table for all errors that pydantic reports.

This module knows the names and contexts of pydantic's errors, and does not import pydantic.
"""

from collections.abc import Mapping
from typing import Final

KINDS: Final[Mapping[str, str]] = {
    "string_type": "text",
    "string_unicode": "text in UTF-8",
    "json_type": "JSON text",
    "path_type": "a path",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "decimal_type": "a decimal number",
    "decimal_parsing": "a decimal number",
    "fraction_type": "a fraction such as 1/3",
    "fraction_parsing": "a fraction such as 1/3",
    "complex_type": "a complex number such as 1+2j",
    "complex_str_parsing": "a complex number such as 1+2j",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "bytes_type": "bytes",
    "list_type": "a list",
    "tuple_type": "a list",
    "deque_type": "a list",
    "set_type": "a set",
    "frozen_set_type": "a set",
    "iterable_type": "a list",
    "named_tuple_type": "a list",
    "arguments_type": "a list or a mapping of arguments",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "frozen_dict_type": "a mapping",
    "ordered_dict_type": "a mapping",
    "counter_type": "a mapping of counts",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "dataclass_exact_type": "a {class_name}",
    "none_required": "empty",
    "missing_sentinel_error": "left out",
    "ellipsis_error": "left out",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
    "date_type": "a date such as 2026-11-24",
    "date_parsing": "a date such as 2026-11-24",
    "date_from_datetime_parsing": "a date such as 2026-11-24",
    "date_from_datetime_inexact": "a date without a time of day",
    "time_type": "a time such as 21:30:00",
    "time_parsing": "a time such as 21:30:00",
    "datetime_type": "a date and time such as 2026-11-24T21:30:00Z",
    "datetime_parsing": "a date and time such as 2026-11-24T21:30:00Z",
    "datetime_object_invalid": "a date and time such as 2026-11-24T21:30:00Z",
    "datetime_from_date_parsing": "a date and time such as 2026-11-24T21:30:00Z",
    "time_delta_type": "a duration such as PT5S",
    "time_delta_parsing": "a duration such as PT5S",
    "url_type": "a URL",
    "url_parsing": "a URL",
    "url_syntax_violation": "a URL",
    "uuid_type": "a UUID",
    "uuid_parsing": "a UUID",
    "is_instance_of": "a {class}",
    "is_subclass_of": "a class made of {class}",
    "callable_type": "a function",
}
"""Errors about the kind of a value: the words after "must be"."""

BOUNDS: Final[Mapping[str, str]] = {
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "string_too_short": "text of {min_length} or more characters",
    "string_too_long": "text of {max_length} characters or less",
    "bytes_too_short": "{min_length} or more bytes",
    "bytes_too_long": "{max_length} bytes or less",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
    "url_too_long": "a URL of {max_length} characters or less",
    "decimal_max_digits": "a number of at most {max_digits} digits",
    "decimal_max_places": "a number of at most {decimal_places} decimal places",
    "decimal_whole_digits": "a number of at most {whole_digits} digits before the point",
    "date_past": "a date in the past",
    "date_future": "a date in the future",
    "datetime_past": "a time in the past",
    "datetime_future": "a time in the future",
    "timezone_naive": "a time without a time zone",
    "timezone_aware": "a time with its time zone, as in 2026-11-24T21:30:00Z",
    "timezone_offset": "a time with the UTC offset of {tz_expected} seconds",
    "uuid_version": "a UUID of version {expected_version}",
    "url_scheme": "a URL that begins with {expected_schemes}",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_not_ascii": "text of ASCII characters",
    "bytes_invalid_encoding": "bytes in {encoding}",
}
"""Errors about the size or form of a value: the words after "must be"."""

PREDICATES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "invalid_key": "has a key that is not text",
    "set_item_not_hashable": "holds a list or a mapping, which a set cannot hold",
    "iteration_error": "cannot be read to its end: {error}",
    "no_such_attribute": "has no `{attribute}`",
    "get_attribute_error": "cannot be read: {error}",
    "json_invalid": "is not JSON: {error}",
    "needs_python_object": "cannot be checked as JSON",
    "recursion_loop": "holds itself",
    "recursion_depth_exceeded": "is nested too deep",
    "frozen_field": "cannot be changed",
    "frozen_instance": "cannot be changed",
    "default_factory_not_called": "has no default, because another value is wrong",
    "union_tag_not_found": "needs the key {discriminator}",
    "missing_argument": "is missing",
    "missing_keyword_only_argument": "is missing",
    "missing_positional_only_argument": "is missing",
    "unexpected_keyword_argument": "is an unexpected argument",
    "unexpected_positional_argument": "is an unexpected argument",
    "multiple_argument_values": "is given twice",
}
"""All other errors: the words after the name of the value."""


def predicate(kind: str, context: Mapping[str, object]) -> str | None:
    """Return the words after the name of a value in a sentence; None for errors with a sentence of their own.

    >>> predicate("greater_than_equal", {"ge": 1})
    'must be 1 or more'
    """
    must = KINDS.get(kind) or BOUNDS.get(kind)
    if must is not None:
        return f"must be {must.format_map(context)}"
    other = PREDICATES.get(kind)
    return None if other is None else other.format_map(context)


def own_sentence(message: str, context: Mapping[str, object]) -> str:
    """Return the own sentence of an error, with its hint, and without pydantic's words before it.

    >>> own_sentence("Value error, too dear", {})
    'too dear'
    """
    why = str(context.get("why") or message).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"{why}: {context['hint']}" if context.get("hint") else why


def sentence(name: str, detail: Mapping[str, object]) -> str:
    """Return one sentence about a value, from an entry of `ValidationError.errors()`; `name` may be empty.

    >>> sentence("limit", {"type": "int_parsing", "loc": ("limit",), "msg": "Input should be a valid integer"})
    '`limit` must be a whole number'
    """
    found = detail.get("ctx")
    context = found if isinstance(found, dict) else {}
    subject = f"`{name}`" if name else "this"
    message = predicate(str(detail["type"]), context)
    if message is not None:
        return f"{subject} {message}"
    why = own_sentence(str(detail["msg"]), context)
    if context.get("is_predicate"):
        return f"{subject} {why}"
    return f"`{name}`: {why}" if name else why
