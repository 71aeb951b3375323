"""What is in the language compiles; everything else is refused with a column and a hint."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.expressions import EvaluationError, ExpressionError, compile_expression

REFUSED = [
    ("event.name.lower()", 1, "methods are not called", "write lower(event.name) instead of event.name.lower()"),
    ("1 + len(event.name.strip('x'))", 9, "methods", "write strip(event.name, 'x') instead of event.name.strip('x')"),
    ("event.items.pop()", 1, "methods", "the functions are len, lower,"),
    ("lowr(event.a)", 1, "there is no function 'lowr'", "did you mean lower?"),
    ("__import__('os')", 1, "there is no function '__import__'", "the functions are"),
    ("__import__", 1, "the name '__import__' is not known", ""),
    ("__builtins__['__import__']('os')", 1, "only the functions of the language are called", ""),
    ("__builtins__", 1, "the name '__builtins__' is not known", ""),
    ("time.time()", 1, "methods are not called", ""),
    ("f'{time:%Y}'", 4, "the name 'time' is not known", ""),
    ("event['f'](1)", 1, "only the functions of the language are called", "the functions are"),
    (
        "country == 'fr'",
        1,
        "the name 'country' is not known",
        "write event.country for the field, or 'country' in quotes",
    ),
    ("evnt.a", 1, "the name 'evnt' is not known", "did you mean event?"),
    ("event.a == true", 12, "the name 'true' is not known", "write True"),
    ("event.a == null", 12, "the name 'null' is not known", "write None"),
    ("lower", 1, "'lower' is a function", "write lower(event.name)"),
    ("event._id", 1, "the attribute '_id' is private", 'write event["_id"] for a key'),
    ("event.a.__class__", 1, "the attribute '__class__' is private", ""),
    ("event.a ** 2", 1, "the operator ** is not in the language", "event.a * event.a"),
    ("event.a << 2", 1, "the operator <<", "multiply"),
    ("event.a >> 2", 1, "the operator >>", "divide"),
    ("event.a & event.b", 1, "the operator &", "write and"),
    ("event.a | event.b", 1, "the operator |", "write or"),
    ("event.a ^ event.b", 1, "the operator ^", "write !="),
    ("event.a @ event.b", 1, "the operator @", "Python function"),
    ("~event.a", 1, "the operator ~", "write not"),
    ("event.a && event.b", 10, "invalid syntax", "write and"),
    ("event.a || event.b", 10, "invalid syntax", "write or"),
    ("!event.a", 1, "invalid syntax", "write not"),
    ("event.a = 1", 9, "invalid syntax", "write == to compare"),
    ("event.a ? 1 : 2", 9, "invalid syntax", "write a if event.ok else b"),
    ("lambda: 1", 1, "a lambda", "Python function"),
    ("[x for x in event.a]", 1, "a comprehension", "Python function"),
    ("{x for x in event.a}", 1, "a comprehension", "Python function"),
    ("{x: 1 for x in event.a}", 1, "a comprehension", "Python function"),
    ("len(x for x in event.a)", 4, "a comprehension", "Python function"),
    ("[a := 1]", 2, ":= is not in the language", "Python function"),
    ("[await event.a]", 2, "await", "Python function"),
    ("[(yield 1)]", 3, "yield", "Python function"),
    ("[(yield from event.a)]", 3, "yield", "Python function"),
    ("[*event.a]", 2, "*", "Python function"),
    ("max(*event.a)", 5, "*", "Python function"),
    ("{**event.a}", 1, "** in a dict", "Python function"),
    ("lower(event.a, x=1)", 1, "lower() takes no named arguments", "write lower(event.name)"),
    ("lower(**event.a)", 1, "lower() takes no named arguments", "write lower(event.name)"),
    ("lower()", 1, "lower() cannot be called with 0 arguments", "write lower(event.name)"),
    ("default(event.a)", 1, "default() cannot be called with 1 argument", "write default(event.count, 0)"),
    ("has(event)", 5, "has() takes a path", "write has(event.user.name)"),
    ("default(event.a + 1, 0)", 9, "default() takes a path", "write default(event.count, 0)"),
    ("matches(event.a, event.b)", 18, "must be a text in quotes", "matches(event.name,"),
    ("matches(event.a, '(')", 18, "unterminated subpattern", ""),
    ("matches(event.a, 'a{99999999999999999999}')", 18, "repetition number is too large", ""),
    ("matches(event.a, '\\bfoo')", 18, "holds a backspace", r'write r"\b"'),
    ("round(event.a, event.b)", 16, "the digits of round()", "round(event.price, 2)"),
    ("round(event.a, -999999999)", 16, "the digits of round()", "round(event.price, 2)"),
    ("event.a is 'x'", 12, "'is' compares with None", "write == or !="),
    ("'ab' * event.n", 1, "* and % are for numbers", 'f"'),
    ("event.n * [0]", 1, "* and % are for numbers", 'f"'),
    ("'%d' % event.n", 1, "* and % are for numbers", 'f"'),
    ('f"{event.a!r}"', None, "a conversion", "{event.a}"),
    ('f"{event.a=}"', None, "a conversion", "{event.a}"),
    ('f"{event.a:>1000}"', None, "the format", "{event.price:.2f}"),
    ('f"{event.a:>{event.b}}"', None, "the format", "{event.price:.2f}"),
    ("1j", 1, "a literal of type complex", "a text or a number"),
    ("b'a'", 1, "a literal of type bytes", "a text or a number"),
    ("...", 1, "a literal of type ellipsis", "a text or a number"),
    ("", 1, "the expression is empty", "event.name"),
    ("  ", 1, "the expression is empty", "event.name"),
    ("event.a +", 9, "the expression ends too early", ""),
    ("(event.a", 1, "'(' was never closed", ""),
    ("event.a\nand event.b", None, "invalid syntax", "put brackets around it"),
    ("event.a\0", 8, "a character that is no text", "escape"),
    ("'\ud800'", 1, "a character that is no text", "escape"),
    ("'é' + évenement", 7, "the name 'évenement' is not known", "write event.évenement"),
    ("  event.a + x", 13, "the name 'x' is not known", "write event.x"),
    ("(event.a\r + x)", 13, "the name 'x' is not known", "write event.x"),
    ("(event.a\n + event.b\n + x)", 24, "the name 'x' is not known", "write event.x"),
]

TOKENS = """
event event.a event.b.c . .a ( ) [ ] { } , : + - * / // % ** not and or in is if else == != < >= ~ & := lambda for await
yield 1 0 -1 2.5 1e999 9999 'x' "y" f'{' f'{event.a}' f'{event.a:>5}' '{}' True None lower( len( has( default( max(
coalesce( matches( round( get( contains( int( str( x __class__ ._a # \\ ; = ! ?
"""


def refusal(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    return caught.value


def refusal_or_none(text: str) -> ExpressionError | None:
    try:
        compile_expression(text)
    except ExpressionError as error:
        return error
    return None


@pytest.mark.parametrize(("text", "column", "why", "hint"), REFUSED)
def test_what_is_not_in_the_language_is_refused_with_column_and_hint(
    text: str, column: int | None, why: str, hint: str
) -> None:
    error = refusal(text)
    assert why in error.why
    assert hint in error.hint
    assert error.text == text
    assert error.path == ()
    assert column in {error.column, None}


def test_an_error_is_one_sentence_that_says_what_where_and_what_to_do() -> None:
    assert str(refusal("event.name.lower() == 'x'")) == (
        "methods are not called here in \"event.name.lower() == 'x'\", column 1: "
        "write lower(event.name) instead of event.name.lower()"
    )


def test_an_error_in_a_long_text_shows_the_part_around_it() -> None:
    error = refusal(f"event.a == '{'x' * 1000}' or foo == '{'y' * 1000}'")
    assert "or foo ==" in str(error)
    assert len(str(error)) < 300


@given(
    st.sampled_from(
        [text for text, _, why, _ in REFUSED if text.strip() and "invalid" not in why and "\n" not in text]
    ),
    st.sampled_from(
        ["[%s]", "lower(%s)", "1 if %s else 2", "event[%s]", "event.a and (%s)", "{'k': %s}", "max(1, -(%s))"]
    ),
)
def test_what_is_refused_alone_is_refused_inside_anything(text: str, context: str) -> None:
    whole = context % text
    assert 1 <= refusal(whole).column <= len(whole)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "(" * 250 + "1" + ")" * 250,
        "[" * 100 + "]" * 100,
        "-" * 4000 + "1",
        "not " * 1000 + "1",
        "event" + ".a" * 65,
        "event" + ".a" * 2000,
        "event" + "['a']" * 500,
        "1 if 1 else " * 300 + "1",
        "lower(" * 199 + "event.a" + ")" * 199,
        "default(event.a, " * 150 + "1" + ")" * 150,
        "+".join(["1"] * 2000),
        "f'" + "{event.a}" * 400 + "'",
        "[" + "1," * 2000 + "]",
        "x" * 5000,
        "matches(event.a, '" + "(" * 2000 + ")" * 2000 + "')",
        "matches(event.a, '" + "(" * 900 + ")" * 900 + "')",
    ],
)
def test_a_text_that_is_too_long_too_wide_or_too_deep_is_refused(text: str) -> None:
    assert len(str(refusal(text))) < 1000


def test_a_text_up_to_the_limits_is_taken() -> None:
    deep = "event" + ".a" * 60
    assert compile_expression(deep).fields == ("a",)
    wide = " or ".join(["event.a == 1"] * 200)
    assert compile_expression(wide)({"a": 1}) is True
    nested = "default(event.a, " * 50 + "1" + ")" * 50
    assert compile_expression(nested)({}) == 1
    lazily = "coalesce(event.a, " * 30 + "1" + ")" * 30
    assert compile_expression(lazily)({}) == 1


@given(st.text() | st.lists(st.sampled_from([*TOKENS.split(), "\n"]), max_size=30).map(" ".join))
@example("\ufeffevent.a")
@example("\x0cevent.a + x")
@example("event.a\r+ x")
@example("(event.a\r\n + x)")
@example("f'{event.a b}'")
@example("matches(event.a, '[[a]]')")
@example(r"matches(event.a, '\d')")
@example("1 if 1else 2")
@example("1['a']")
def test_no_text_raises_anything_but_an_expression_error(text: str) -> None:
    error = refusal_or_none(text)
    assert error is None or 1 <= error.column <= max(len(text), 1)
    assert error is None or str(error)


@given(st.lists(st.sampled_from(TOKENS.split()), max_size=12).map(" ".join))
def test_no_text_that_compiles_raises_anything_but_an_evaluation_error(text: str) -> None:
    if refusal_or_none(text) is None:
        with suppress(EvaluationError):
            compile_expression(text)({"a": "text", "b": {"c": 3}})
