"""Any JSON value is a key: equal values are the same one, whatever the order of their dicts."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.pipeline.dispatchers.partition import stable_hash
from headrace.values import key_of, ordered, value_of

values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "b", 1.0, 0.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
)


@given(values, values)
def test_keys_are_equal_where_their_values_are(one: object, other: object) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)
    assert one != other or hash(key_of(one)) == hash(key_of(other))
    assert value_of(key_of(one)) is one


def turned(value: Any) -> Any:
    """Return the same value, with all dicts the other way round."""
    if isinstance(value, dict):
        return {key: turned(below) for key, below in reversed(value.items())}
    return list(map(turned, value)) if isinstance(value, list) else value


@given(values)
def test_the_order_of_a_dict_changes_neither_its_text_nor_its_hash(value: object) -> None:
    assert repr(ordered(turned(value))) == repr(ordered(value))
    assert stable_hash(turned(value)) == stable_hash(value)
    assert repr(key_of(turned(value))) == repr(key_of(value))


def test_a_value_that_nests_too_deeply_is_no_key() -> None:
    deep = json.loads("[" * 100 + "]" * 100)
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(RecursionError):
        key_of(deep)
