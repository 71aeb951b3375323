"""What counts as a number in a window: finite, within the range of floats, and neither text nor true or false."""

from decimal import Decimal
from math import isfinite
from typing import Final, SupportsFloat, cast

from headrace.stages.errors import BadEvent

Number = int | float | Decimal

_PLAIN: Final = frozenset({int, float})
_MOST_DIGITS: Final = 1_000
"""Of a decimal, so that sums of them stay exact within bounds."""


def numbers(values: list[object], called: str) -> list[object]:
    """Return `values` if all are ints, floats or Decimals; what else can be a float becomes one.

    Raises `BadEvent`, which calls it the value of `called`, for the first that is no number.
    """
    if _PLAIN.issuperset(map(type, values)):
        try:
            if isfinite(sum(cast("list[float]", values))):
                return values
        except OverflowError:  # a whole number beyond all floats
            pass
    return [_number(value, called) for value in values]


def _number(value: object, called: str) -> Number:
    if isinstance(value, str):
        why = "is text: write float() around it"
    elif isinstance(value, bool) or not isinstance(value, SupportsFloat):
        why = f"is of type {type(value).__name__}, and must be a number"
    elif not _is_fair(value):
        why = "is not finite, or beyond all floats"
    elif type(value) in {int, float, Decimal}:
        return cast("Number", value)
    else:
        return int(value) if isinstance(value, int) else float(value)
    told = f"the value of {called} {why}"
    raise BadEvent(told)


def _is_fair(value: SupportsFloat) -> bool:
    try:
        is_finite = isfinite(value)
    except (OverflowError, ValueError):
        return False
    if not is_finite or not isinstance(value, Decimal):
        return is_finite
    _, digits, exponent = value.as_tuple()
    return isinstance(exponent, int) and exponent >= -_MOST_DIGITS and len(digits) <= _MOST_DIGITS
