"""A compiled expression reads events of every kind, one at a time or by the batch."""

from collections import Counter, UserDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from time import perf_counter
from types import MappingProxyType, SimpleNamespace
from typing import NamedTuple, cast

import pytest

from headrace.expressions import (
    EvaluationError,
    Expression,
    ExpressionError,
    MissingFieldError,
    compile_expression,
)
from headrace.expressions.explanations import BUILTINS

EVENT = {
    "kind": "purchase",
    "total": 12.5,
    "count": 3,
    "nothing": None,
    "tags": ["new", "red"],
    "user": {"name": "Ada", "first name": "A"},
    "rows": [{"sku": "a1"}, {"sku": "b2"}],
    "items": "hides a method of dict",
    "_id": 9,
}

VALUES = [
    ('event.kind == "purchase" and event.total > 10', True),
    ("event.user.name", "Ada"),
    ('event["user"]["first name"]', "A"),
    ('event["_id"]', 9),
    ("event.rows[0].sku + event.rows[-1].sku", "a1b2"),
    ("event.items", "hides a method of dict"),
    ("0 < event.count <= 3 != 4", True),
    ("not event.nothing or False", True),
    ("event.nothing is None and event.total is not None", True),
    ('"red" in event.tags and "blue" not in event.tags', True),
    ('event.kind in {"purchase", "visit"}', True),
    ("event.count * 2 + 10 // 3 - 7 % 4 / 2", 7.5),
    ("-event.count + +2", -1),
    ('"big" if event.total > 10 else "small"', "big"),
    ("event.kind[0:2] + event.kind[::-1][0]", "pue"),
    ('[event.count, (1, 2), {"a": event.total}, {3}]', [3, (1, 2), {"a": 12.5}, {3}]),
    ('f"{event.user.name}: {event.total:.2f}"', "Ada: 12.50"),
    ("'é' + event.kind", "épurchase"),
    ("(event.count\n + 1)", 4),
    ("  event.count  ", 3),
    ("len(event.tags)", 2),
    ("lower(event.user.name) + upper(event.kind)", "adaPURCHASE"),
    ("strip('  a ') + strip('/b/', '/')", "ab"),
    ('startswith(event.kind, "pur") and endswith(event.kind, "se")', True),
    ('contains(event.tags, "new") and contains(event.kind, "rch")', True),
    (r'matches(event.kind, "^[a-z]+$") and not matches(event.kind, "\d")', True),
    ('int("5") + float("0.5") + abs(-2)', 7.5),
    ('str(event.count) + str(bool(""))', "3False"),
    ("[min(event.count, 2), min([4, 2]), max(event.tags)]", [2, 2, "red"]),
    ("[round(event.total), round(1.256, 2), round(1234, -2)]", [12, 1.26, 1200]),
    ("[has(event.kind), has(event.nothing), has(event.user.name), has(event.rows[-1].sku)]", [True] * 4),
    ("[has(event.absent), has(event.user.absent), has(event.absent.x), has(event.rows[2].sku)]", [False] * 4),
    ("[has(event.nothing.x), has(event.count.x), has(event.tags.x)]", [False] * 3),
    ("default(event.absent, 7) + default(event.count, 7)", 10),
    ("default(event.nothing, 7)", None),
    ("default(event.user.absent, event.user.name)", "Ada"),
    ("default(event.count, event.absent)", 3),
    ("coalesce(event.absent, event.nothing, event.user.absent, event.count, event.absent.b + 1)", 3),
    ("coalesce(event.absent)", None),
    ("coalesce(event.count - 3, 5)", 0),
    ("coalesce(event.nothing, event.count + 1)", 4),
    ('[get(event, "count"), get(event, "absent"), get(event.user, "absent", 5)]', [3, None, 5]),
    ("[get(event.tags, 1), get(event.tags, 9), get(event.tags, 9, 0)]", ["red", None, 0]),
    ("event", EVENT),
    ("None", None),
]

FAILURES = [
    ("event.knd", MissingFieldError, "event has no field 'knd' in 'event.knd': did you mean 'kind'?"),
    ("event.user.zip", MissingFieldError, "event.user has no field 'zip' in 'event.user.zip': it has name, first name"),
    ("event.zzz", MissingFieldError, "it has kind, total, count, nothing, tags, user, ..."),
    ("event.nothing.x", MissingFieldError, "event.nothing has no field 'x' (it is None)"),
    ("event.rows[2].sku", MissingFieldError, "event.rows has no item 2 (it is of type list)"),
    ("event.rows.append", MissingFieldError, "event.rows has no field 'append' (it is of type list)"),
    ("event.kind.upper", MissingFieldError, "event.kind has no field 'upper' (it is of type str)"),
    ("event.kind.upper", MissingFieldError, "write upper(event.name)"),
    ("event.user['zip']", MissingFieldError, "event.user has no field 'zip'"),
    ("default(event.absent, event.knd)", MissingFieldError, "did you mean 'kind'?"),
    ("(event.user or 1).zip", MissingFieldError, "the value has no field 'zip'"),
    ("event.kind > 1", EvaluationError, "'>' not supported between instances of 'str' and 'int' in 'event.kind > 1'"),
    ("lower(event.count)", EvaluationError, "lower() cannot take int in 'lower(event.count)'"),
    ("matches(event.count, 'a')", EvaluationError, "matches() cannot take int, str"),
    ("event.kind * 2", EvaluationError, "* cannot take str"),
    ("2 * event.tags", EvaluationError, "* cannot take list"),
    ("(event.kind + 'x') * event.count", EvaluationError, "* cannot take str"),
    ("event.kind % 2", EvaluationError, "% cannot take str"),
    ("event.total / 0", EvaluationError, "float division by zero in 'event.total / 0'"),
    ("int(event.kind)", EvaluationError, "invalid literal for int()"),
    ("f'{event.kind:.2f}'", EvaluationError, "Unknown format code 'f'"),
    ("event.user[0:1]", EvaluationError, "slice"),
]


@dataclass(slots=True)
class Slotted:
    kind: str
    total: float


class Row(NamedTuple):
    kind: str
    count: int  # type: ignore[assignment] # that it hides a method of tuple is the point


class Answering:
    """Has a method that a dict has too, and one that fails."""

    kind = "purchase"
    _private = "private"

    def get(self, key: str, fallback: object = None) -> object:
        raise AssertionError(key, fallback)

    @property
    def broken(self) -> object:
        raise KeyError("gone")


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_an_expression_has_the_value_that_it_says(text: str, value: object) -> None:
    assert compile_expression(text)(EVENT) == value


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_batch_gives_what_its_events_give(text: str, value: object) -> None:
    expression = compile_expression(text)
    assert expression.column([EVENT, EVENT]) == [value, value]
    assert expression.select([EVENT]) == ([EVENT] if value else [])


@pytest.mark.parametrize(("text", "error", "said"), FAILURES)
def test_an_event_that_does_not_fit_is_named_in_one_sentence(
    text: str, error: type[EvaluationError], said: str
) -> None:
    expression = compile_expression(text)
    with pytest.raises(error) as caught:
        expression(EVENT)
    assert said in str(caught.value)
    assert type(caught.value) is error
    for batch_form in (expression.column, expression.select):
        with pytest.raises(error) as again:
            batch_form([EVENT])
        assert str(again.value) == str(caught.value)


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "purchase", "total": 2},
        UserDict({"kind": "purchase", "total": 2}),
        MappingProxyType({"kind": "purchase", "total": 2}),
        SimpleNamespace(kind="purchase", total=2),
        Slotted("purchase", 2),
    ],
)
def test_a_field_is_a_key_or_an_attribute(event: object) -> None:
    expression = compile_expression(
        "[event.kind, event.total * 2, default(event.total, 0), default(event.absent, 0), has(event.kind), "
        'has(event.absent), coalesce(event.absent, event.kind), get(event, "kind"), get(event, "absent", 1)]'
    )
    value = ["purchase", 4, 2, 0, True, False, "purchase", "purchase", 1]
    assert expression(event) == value
    assert expression.column([event, event]) == [value, value]


def test_a_field_may_be_called_like_a_method() -> None:
    expression = compile_expression("event.count")
    assert expression.column([Row("a", 5), {"count": 6}]) == [5, 6]
    with pytest.raises(MissingFieldError, match="has no field 'index'"):
        compile_expression("event.index")(Row("a", 5))


def test_no_method_of_an_event_runs() -> None:
    event = Answering()
    assert compile_expression('get(event, "kind")')(event) == "purchase"
    assert compile_expression("default(event.kind, 1)")(event) == "purchase"
    with pytest.raises(MissingFieldError, match="has no field 'get'"):
        compile_expression("event.get")(event)
    assert compile_expression('get(event, "_private", 1)')(event) == 1


def test_a_failing_property_is_an_evaluation_error_with_its_cause() -> None:
    with pytest.raises(EvaluationError, match="gone") as caught:
        compile_expression("event.broken")(Answering())
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "text", ["has(event.a)", "default(event.a, 1)", "default(event.a, [])", "coalesce(event.a, 2)"]
)
@pytest.mark.parametrize("beside", ["1", "event.thing.kind"])  # an attribute brings the careful code in
def test_asking_for_a_key_does_not_make_it(text: str, beside: str) -> None:
    event = defaultdict[str, object](list, thing=Slotted("a", 1))
    compile_expression(f"[{text}, get(event, 'a'), {beside}]")(event)
    assert list(event) == ["thing"]


def test_what_a_mapping_gives_for_a_missing_key_is_the_value_of_its_field() -> None:
    assert compile_expression("event.a + 1")(Counter("b")) == 1


def test_a_product_of_decimals_is_exact() -> None:
    event = {"price": Decimal("0.10"), "count": 3}
    assert compile_expression("event.price * event.count")(event) == Decimal("0.30")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('f"{event.at:%Y-%m-%d}"', "2026-11-24"),
        ('f"logs/{event.at:%Y/%m/%d}/{event.n:03d}.jsonl"', "logs/2026/11/24/007.jsonl"),
        ('f"{event.day:%d.%m.%y} {event.time:%H:%M}"', "24.11.26 09:30"),
        ('f"{event.at:%H:%M%z %Z}"', "09:30+0000 UTC"),
    ],
)
def test_a_date_is_written_by_its_format(text: str, value: str) -> None:
    event = {"at": datetime(2026, 11, 24, 9, 30, tzinfo=UTC), "day": date(2026, 11, 24), "time": time(9, 30), "n": 7}
    expression = compile_expression(text)
    assert expression(event) == value
    assert expression.column([event]) == [value]
    assert compile_expression(text)(SimpleNamespace(**event)) == value


def test_what_formats_a_date_imports_nothing_else() -> None:
    importing = cast("Callable[[str], object]", BUILTINS["__import__"])
    assert list(BUILTINS) == ["__import__"]
    for name in ("os", "sys", "builtins", "time.sleep"):
        with pytest.raises(ImportError):
            importing(name)


def test_a_batch_may_mix_kinds_of_events() -> None:
    events = [{"total": 1}, SimpleNamespace(total=20), {"total": 30}]
    expression = compile_expression("event.total > 10")
    assert expression.column(events) == [False, True, True]
    assert expression.select(events) == events[1:]


def test_a_batch_fails_with_its_first_event_that_does_not_fit() -> None:
    expression = compile_expression("event.a / event.b")
    with pytest.raises(MissingFieldError):
        expression.column([{"a": 1, "b": 1}, {"a": 1}, {"a": 1, "b": 0}])


def test_selected_events_are_the_very_same_objects_in_a_new_list() -> None:
    events = [{"a": 1}, {"a": 2}]
    selected = compile_expression("event.a > 0").select(events)
    assert selected is not events
    assert [id(event) for event in selected] == [id(event) for event in events]


def test_no_events_give_no_values() -> None:
    expression = compile_expression("event.a")
    assert expression.column([]) == []
    assert expression.select([]) == []


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("1", ()),
        ("event", ()),
        ("event.b.c + event.a + event.b.d", ("b", "a")),
        ('event["x y"] or event[0]', ("x y",)),
        ('default(event.c.d, event.e) if has(event.b) else get(event, "f")', ("b", "c", "e", "f")),
        ("coalesce(event.a, event.b)", ("a", "b")),
        ('f"{event.a} {lower(event.b)}"', ("a", "b")),
    ],
)
def test_an_expression_knows_which_fields_it_reads(text: str, fields: tuple[str, ...]) -> None:
    assert set(compile_expression(text).fields) == set(fields)
    assert len(compile_expression(text).fields) == len(fields)


def test_an_expression_shows_its_text_and_cannot_be_changed() -> None:
    expression = compile_expression("event.a")
    assert expression.text == "event.a"
    assert repr(expression) == "Expression(text='event.a', fields=('a',))"
    assert not hasattr(expression, "__dict__")
    assert isinstance(expression, Expression)
    with pytest.raises(AttributeError):
        expression.text = "event.b"  # type: ignore[misc] # that it is refused is the point


@pytest.mark.parametrize("event", [{"a": "a" * 50 + "!"}, SimpleNamespace(a="a" * 50 + "!")])
def test_no_event_freezes_an_expression(event: object) -> None:
    begun = perf_counter()
    assert compile_expression("matches(event.a, '^(a+)+$')")(event) is False
    assert perf_counter() - begun < 1


def test_python_runs_the_patterns_where_that_is_asked_for() -> None:
    with pytest.raises(ExpressionError, match="has a lookahead, which RE2 lacks"):
        compile_expression("matches(event.a, 'a(?=b)')")
    for event in ({"a": "ab"}, SimpleNamespace(a="ab")):
        assert compile_expression("matches(event.a, 'a(?=b)')", "python")(event) is True
    with pytest.raises(EvaluationError, match=r"matches\(\) cannot take int, str"):
        compile_expression("matches(event.a, 'a')", "python")({"a": 1})
