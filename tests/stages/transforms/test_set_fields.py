"""Fields are set in a copy of an event, as a template says."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.expressions import EvaluationError, Expression, ExpressionError, compile_template
from headrace.stages.errors import BadEvent
from headrace.stages.transforms.map import compile_merge

EVENTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(-5, 5))
SPECS = st.dictionaries(
    st.sampled_from(["a", "b", "d"]),
    st.sampled_from(["event.a", "event.a * 2", "'text'", 1, None, True, ["event.b", 2], {"x": "event.a", "y": ["1"]}]),
    min_size=1,
)


def outcome(expression: Expression, event: object) -> object:
    """Return the value, or the sentence that says why there is none."""
    try:
        return expression(event)
    except EvaluationError as error:
        return str(error)


@given(SPECS, st.lists(EVENTS))
def test_it_is_the_event_with_the_templates_fields_put_in(
    spec: dict[str, object], events: list[dict[str, int]]
) -> None:
    merge, template = compile_merge(spec), compile_template(spec)
    before = [dict(event) for event in events]
    for event in events:
        fields = outcome(template, event)
        merged = outcome(merge, event)
        if isinstance(fields, Mapping):
            assert merged == {**event, **fields}
            assert list(cast("Mapping[str, object]", merged)) == list({**event, **fields})
        else:
            assert merged == fields
    assert events == before
    assert merge.fields == template.fields


def test_a_batch_comes_out_as_new_dicts() -> None:
    events: list[object] = [{"a": 1}, {"a": 2}]
    outputs = compile_merge({"b": "event.a + 1"}).column(events)
    assert outputs == [{"a": 1, "b": 2}, {"a": 2, "b": 3}]
    assert events == [{"a": 1}, {"a": 2}]


def test_a_nested_template_is_new_for_each_event() -> None:
    merge = compile_merge({"list": [1], "dict": {"k": []}})
    first, second = merge.column([{}, {}])
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["list"] is not second["list"]
    assert first["dict"] is not second["dict"]


def test_any_mapping_will_do_and_nothing_else() -> None:
    merge = compile_merge({"b": "event.a"})
    assert merge(MappingProxyType({"a": 1})) == {"a": 1, "b": 1}
    with pytest.raises(BadEvent, match="needs events that are mappings, and this one is of type int"):
        compile_merge({"b": 1})(5)


@pytest.mark.parametrize(
    ("spec", "path"),
    [({"a": "event."}, ("a",)), ({"a": {"b": ["1", "2 +"]}}, ("a", "b", 1)), ({"a": object()}, ("a",))],
)
def test_an_expression_that_is_none_says_where_it_stands(spec: dict[str, object], path: tuple[object, ...]) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_merge(spec)
    assert caught.value.path == path
