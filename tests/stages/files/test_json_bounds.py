"""JSON from outside is measured before it is decoded, and measuring takes linear time."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.files.decoders import count_values, is_too_deep

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)
MIB = 1024 * 1024


def size_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(size_of, value.values()))
    return 1 + sum(map(size_of, value)) if isinstance(value, list) else 1


def depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(VALUES, st.integers(1, 40), st.booleans())
def test_a_text_is_refused_exactly_where_it_holds_more_values_than_allowed(
    value: object,
    most: int,
    is_ascii: bool,  # noqa: FBT001 - drawn
) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii).encode(errors="surrogatepass")
    counted = count_values(text, most)
    assert (counted is None) == (size_of(value) > most)
    assert counted is None or size_of(value) <= counted <= most


@given(st.recursive(st.integers() | st.sampled_from(["", "[[", "{", '"', "\\"]), st.lists, max_leaves=30))
def test_a_text_is_too_deep_exactly_where_it_nests_deeper_than_allowed(value: object) -> None:
    text = json.dumps(value).encode()
    depth = depth_of(value)
    assert not is_too_deep(text, depth)
    assert depth == 0 or is_too_deep(text, depth - 1)


@pytest.mark.parametrize(
    "text",
    [
        b'"' + b'\\"' * (2 * MIB),
        b'"' * (4 * MIB),
        b"[" * (4 * MIB),
        b"{}," * MIB,
        b" " * (4 * MIB),
        b'"\\\\' * MIB,
        b"[]" * (2 * MIB),
        b'["[",' * MIB,
        b'"' + b"[" * (16 * MIB) + b'"',
    ],
    ids=[
        "escaped quotes",
        "quotes",
        "brackets",
        "objects",
        "blanks",
        "backslashes",
        "pairs",
        "brackets in strings",
        "brackets in one string",
    ],
)
def test_no_text_takes_long_to_measure(text: bytes) -> None:
    begun = time.perf_counter()
    if count_values(text) is not None:
        is_too_deep(text)
    assert time.perf_counter() - begun < 1
