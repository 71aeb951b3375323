"""A template is a dict or a list whose strings are expressions."""

import pytest

from headrace.expressions import EvaluationError, ExpressionError, MissingFieldError, compile_template

EVENT = {"country": "fr", "total": 4, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("event.country", "fr"),
        ("'eu'", "eu"),
        (5, 5),
        (True, True),
        (None, None),
        (0.5, 0.5),
        ([], []),
        ({}, {}),
        ({"country": "upper(event.country)", "zone": "'eu'"}, {"country": "FR", "zone": "eu"}),
        ({"a": {"b": ["event.total * 2", {"c": "event.tags"}, 1]}}, {"a": {"b": [8, {"c": ["a", "b"]}, 1]}}),
        (["matches(event.country, '^f')", "matches(event.country, '^d')"], [True, False]),
    ],
)
def test_a_string_in_a_template_is_an_expression_and_the_rest_stands_for_itself(spec: object, value: object) -> None:
    template = compile_template(spec)
    assert template(EVENT) == value
    assert template.column([EVENT, EVENT]) == [value, value]


def test_each_event_gets_containers_of_its_own() -> None:
    template = compile_template({"fixed": [], "inner": {"zone": "'eu'"}})
    first, second = template.column([EVENT, EVENT])
    assert first == second
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["fixed"] is not second["fixed"]
    assert first["inner"] is not second["inner"]


def test_a_template_names_the_fields_that_it_reads_once_and_in_order() -> None:
    assert compile_template({"x": ["event.b", "event.a + event.b"], "y": "event.c"}).fields == ("b", "a", "c")


def test_an_event_that_is_an_object_fills_a_template_too() -> None:
    class Order:
        country = "it"

    template = compile_template({"country": "event.country", "list": ["event.country", 1]})
    assert template.column([Order(), {"country": "fr"}]) == [
        {"country": "it", "list": ["it", 1]},
        {"country": "fr", "list": ["fr", 1]},
    ]


def test_what_an_event_lacks_is_said_with_the_expression_that_reads_it() -> None:
    template = compile_template({"a": "event.country", "b": ["event.totl + 1"]})
    with pytest.raises(MissingFieldError) as caught:
        template(EVENT)
    assert str(caught.value) == "event has no field 'totl' in 'event.totl + 1': did you mean 'total'?"
    with pytest.raises(EvaluationError):
        template.column([EVENT])


@pytest.mark.parametrize(
    ("spec", "path", "why"),
    [
        ("eu", (), "the name 'eu' is not known"),
        ({"zone": "eu"}, ("zone",), "the name 'eu' is not known"),
        ({"a": [1, {"b": "event.x ** 2"}]}, ("a", 1, "b"), "the operator ** is not in the language"),
        ({"a": {5: "event.x"}}, ("a",), "the key 5 is of type int"),
        ({"a": ["event.x", object]}, ("a", 1), "a type cannot stand in a template"),
        ({"a": b"x"}, ("a",), "a bytes cannot stand in a template"),
    ],
)
def test_an_error_tells_its_path_in_the_template(spec: object, path: tuple[str | int, ...], why: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(spec)
    assert caught.value.path == path
    assert caught.value.why == why
    assert ".".join(map(str, path)) in str(caught.value)


def test_a_template_that_holds_itself_is_refused() -> None:
    spec: list[object] = []
    spec.append(spec)
    with pytest.raises(ExpressionError, match="nested deeper than 16"):
        compile_template(spec)


def test_a_template_with_a_great_many_parts_is_refused() -> None:
    spec: object = "event.a"
    for _ in range(10):
        spec = [spec] * 10  # what ten YAML aliases do
    with pytest.raises(ExpressionError, match="more than 1000 parts"):
        compile_template(spec)
