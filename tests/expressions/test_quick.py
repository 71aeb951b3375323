"""Quick code, careful code and Python itself give the same value for the same event, or all fail."""

import re
from collections.abc import Callable
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from headrace.expressions import EvaluationError, compile_expression

NUMBERS = st.integers(-50, 50) | st.sampled_from([0, 1, 0.5, -0.0, 2.5, 1e300, float("inf"), True])
TEXTS = st.text("abAB 1é", max_size=4)
EVENTS = st.fixed_dictionaries(
    {
        "n": NUMBERS,
        "x": NUMBERS,
        "s": TEXTS,
        "t": TEXTS,
        "any": NUMBERS | TEXTS | st.none() | st.lists(st.integers(0, 3), max_size=3),
        "none": st.none(),
        "tags": st.lists(TEXTS, max_size=3),
        "deep": st.fixed_dictionaries({"n": NUMBERS, "s": TEXTS}),
    },
    optional={"maybe": NUMBERS},
)


class Absent:
    """What plain Python reads where there is no key."""

    def __getattr__(self, name: str) -> "Absent":
        return self


ABSENT = Absent()


class Attributes:
    """A dict that plain Python can read as `event.a` and as `event["a"]`."""

    def __init__(self, fields: dict[str, object]) -> None:
        self.fields = {k: Attributes(v) if isinstance(v, dict) else v for k, v in fields.items()}

    def __getattr__(self, name: str) -> object:
        return self.fields.get(name, ABSENT)

    def __getitem__(self, key: str) -> object:
        return self.fields[key]


def python(text: str, event: dict[str, object]) -> object:
    """The value of the text in plain Python, its functions written as anybody would; these work out all arguments."""
    functions: dict[str, Callable[..., object]] = {
        "lower": lambda text: text.lower(),
        "upper": lambda text: text.upper(),
        "strip": lambda text: text.strip(),
        "startswith": lambda text, start: text.startswith(start),
        "contains": lambda container, item: item in container,
        "matches": lambda text, pattern: bool(re.search(pattern, text)),
        "has": lambda value: value is not ABSENT,
        "default": lambda value, fallback: fallback if value is ABSENT else value,
        "coalesce": lambda *values: next((v for v in values if v is not ABSENT and v is not None), None),
    }
    return eval(text, {**functions, "event": Attributes(event)})  # noqa: S307 - the texts are made below


def outcome(run: Callable[[], object]) -> str:
    """The value as text (so that nan equals nan and 1 is not True), or that there is none."""
    try:
        return repr(run())
    except (ArithmeticError, AttributeError, EvaluationError, LookupError, TypeError, ValueError):
        return "an error"


def calls(function: str, *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*arguments).map(lambda written: f"{function}({', '.join(written)})")


def joined(signs: str, left: st.SearchStrategy[str], right: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(left, st.sampled_from(signs.split()), right).map(lambda part: f"({' '.join(part)})")


number_leaves = st.sampled_from(
    ["event.n", "event.x", 'event["n"]', "event.deep.n", "default(event.maybe, 4)", "default(event.deep.no, 2)"]
) | NUMBERS.filter(lambda number: abs(number) < 1e9).map(repr)
text_leaves = st.sampled_from(["event.s", "event.t", "event.deep.s", "coalesce(event.none, event.s)"]) | TEXTS.map(repr)
lists = st.sampled_from(["event.tags", "['a', event.s]", "(event.t, 'b')"])
fields = st.sampled_from(["event.any", "event.none", "event.tags", "event.n", "event.s", "event.deep.n"])
wild = fields | st.sampled_from(["1", "'a'", "None"])
conditions: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        joined("< <= > >= == !=", numbers, numbers),
        joined("< == != in", texts, texts),
        joined("< == != + - in", wild, wild),
        joined("in", texts, lists) | joined("and or", conditions, conditions),
        st.tuples(numbers, numbers, numbers).map(lambda part: f"({part[0]} < {part[1]} <= {part[2]})"),
        conditions.map(lambda condition: f"(not {condition})"),
        fields.map(lambda value: f"({value} is None)"),
        calls("startswith", texts, texts) | calls("contains", lists, texts) | calls("contains", texts, texts),
        calls("matches", texts, st.sampled_from(["'^a'", "'[AB]'", "r'\\d$'"])),
        st.sampled_from(["has(event.maybe)", "has(event.deep.n)", "has(event.deep.no)", "has(event.no.n)"]),
    )
)
numbers: st.SearchStrategy[str] = st.deferred(
    lambda: (
        number_leaves
        | joined("+ - * / // %", numbers, numbers)
        | numbers.map(lambda number: f"(-{number})")
        | calls("abs", numbers)
        | calls("int", numbers)
        | calls("float", numbers)
        | calls("max", numbers, numbers)
        | calls("round", numbers, st.sampled_from(["0", "1", "-1"]))
        | calls("len", texts)
        | calls("coalesce", st.sampled_from(["event.maybe", "event.none", "event.no.n", "event.n + 1"]), number_leaves)
        | st.tuples(numbers, conditions, numbers).map(lambda part: f"({part[0]} if {part[1]} else {part[2]})")
    )
)
texts: st.SearchStrategy[str] = st.deferred(
    lambda: (
        text_leaves
        | joined("+", texts, texts)
        | calls("lower", texts)
        | calls("upper", texts)
        | calls("strip", texts)
        | calls("str", numbers)
        | texts.map(lambda text: f"{text}[1:3]")
        | texts.map(lambda text: f"{text}[0]")
        | st.sampled_from(['f"{event.s}-{event.n}"', 'f"{event.x:.1f}"', 'f"{event.n:>5}"'])
    )
)
expressions = conditions | numbers | texts


@given(expressions, EVENTS)
def test_an_expression_gives_what_python_gives(text: str, event: dict[str, object]) -> None:
    expression = compile_expression(text)
    expected = outcome(lambda: python(text, event))
    assert outcome(lambda: expression(event)) == expected
    assert outcome(lambda: expression.column([event])[0]) == expected


@given(expressions, EVENTS)
def test_an_object_gives_what_a_dict_gives(text: str, event: dict[str, object]) -> None:
    expression = compile_expression(text.replace('event["n"]', "event.n"))
    deep = event["deep"]
    assert isinstance(deep, dict)
    thing = SimpleNamespace(**{**event, "deep": SimpleNamespace(**deep)})
    assert outcome(lambda: expression(thing)) == outcome(lambda: expression(event))


@given(expressions, st.lists(EVENTS, max_size=4))
def test_a_batch_gives_what_one_event_after_the_other_gives(text: str, events: list[dict[str, object]]) -> None:
    expression = compile_expression(text)
    assert outcome(lambda: expression.column(events)) == outcome(lambda: [expression(event) for event in events])
    assert outcome(lambda: expression.select(events)) == outcome(lambda: [e for e in events if expression(e)])


@given(expressions, EVENTS)
def test_an_expression_leaves_its_event_as_it_was(text: str, event: dict[str, object]) -> None:
    before = repr(event)
    outcome(lambda: compile_expression(text)(event))
    assert repr(event) == before
