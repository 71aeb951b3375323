r"""RE2 finds what Python's `re` finds, in linear time, and a pattern that it lacks is refused with a sentence."""

import re
import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.expressions.patterns import PatternError, compile_search

LETTERS = "aAbB1_ -]{}^$.|é٣ßÄä中\n\t\x85\u2028\U0001f600"
ESCAPES = [
    r"\d",
    r"\D",
    r"\w",
    r"\W",
    r"\s",
    r"\S",
    r"\x41",
    r"\u00e9",
    r"\U0001f600",
    r"\n",
    r"\t",
    r"\012",
    r"\-",
    r"\.",
    r"\\",
]
SET_ITEMS = [*"ab1_]é中.^$|[(", "a-c", "0-9", "é-ü", "+--", r"\]", r"\b", r"\1", *ESCAPES]
REPEATS = ["", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{1,}", "{,}", "{0}?"]


def set_of(items: list[str]) -> str:
    return f"[{''.join(items)}]"


SETS = st.lists(st.sampled_from(SET_ITEMS), min_size=1, max_size=4).flatmap(
    lambda items: st.sampled_from([set_of(items), set_of(["^", *items]), set_of([*items, "-"])])
)
ATOMS = (
    st.sampled_from(["a", "B", "1", "é", "ä", "中", ".", "{", "}", "]", "-", " ", r"\Aa", r"a\Z", "^a", *ESCAPES])
    | SETS
)
PATTERNS = st.recursive(
    st.tuples(ATOMS, st.sampled_from(REPEATS)).map("".join),
    lambda inner: (
        st.lists(inner, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map("|".join)
        | st.tuples(
            st.sampled_from(["(", "(?:", "(?P<n>", "(?s:", "(?m:", "(?-i:"]), inner, st.sampled_from(["", "?", "*"])
        ).map(lambda parts: f"{parts[0]}{parts[1]}){parts[2]}")
        | st.tuples(st.sampled_from(["^", ""]), inner, st.sampled_from(["$", ""])).map(
            lambda parts: f"(?:{''.join(parts)})"
        )
    ),
    max_leaves=6,
)
FLAGS = st.sampled_from(["", "", "(?s)", "(?m)", "(?ms)", "(?u)", "(?a)"])
TEXTS = st.text(st.sampled_from(LETTERS) | st.characters(), max_size=8)


def python_search(pattern: str, text: str) -> bool | None:
    """Return what `re` says; None where it cannot compile the pattern."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return None


@given(FLAGS, PATTERNS, st.lists(TEXTS, min_size=1, max_size=5))
@example("", r"a$", ["a", "a\n", "a\n\n", "ab"])
@example("(?m)", r"^a$", ["b\na\nb", "b\na\n"])
@example("", "[[:alpha:]]", ["l]", "x", ":]"])
@example("", r"[\W\d]", ["a", "1", "é", "."])
@example("", "x{,2}y{,}z{}", ["z{}", "xxz{}", "z"])
@example("", r"\N{EM DASH}|\1414|[^\s]", ["—", "a4", "\x1c", "\xa0"])
@pytest.mark.filterwarnings("ignore:Possible (nested set|set difference|set intersection|set union)")
def test_re2_finds_what_python_finds(flags: str, pattern: str, texts: list[str]) -> None:
    for text in texts:
        expected = python_search(flags + pattern, text)
        if expected is None:
            return
        try:
            search = compile_search(flags + pattern)
        except PatternError as error:
            assert r"\W" in str(error) or "invalid repetition" in str(error)  # noqa: PT017 - two kinds of pattern are
            return
        assert search(text) is expected


CASED = "aAbBéÉÄäЖжiI\u0130\u0131"


@given(st.text(CASED, max_size=4), st.text(CASED, max_size=6))
@example("istanbul", "\u0130STANBUL")
def test_letters_without_case_are_found_as_python_finds_them(pattern: str, text: str) -> None:
    assert compile_search(f"(?i){pattern}")(text) is python_search(f"(?i){pattern}", text)
    assert compile_search(f"a(?i:{pattern})")(text) is python_search(f"a(?i:{pattern})", text)


@pytest.mark.parametrize("inside", ["i", "^i", "a-z", "^a-z", "A-Z", "^}-\u0150", r"\w", r"\dI", "\u0131", "j-z"])
def test_a_set_without_case_holds_what_pythons_holds(inside: str) -> None:
    pattern = f"(?i)[{inside}]"
    expected = [letter for letter in CASED if re.search(pattern, letter)]
    assert [letter for letter in CASED if compile_search(pattern)(letter)] == expected


@pytest.mark.parametrize("name", [r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"[^\s]", r"[\S]", r"[^\w]", r"[\W]"])
def test_a_named_set_holds_the_same_characters(name: str) -> None:
    assigned = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    pattern = f"^{name}$"
    search, python = compile_search(pattern), re.compile(f"^{name}\\Z").search
    sample = [*assigned[:2000], *assigned[2000::50]]
    assert [one for one in sample if one != "\n" and search(one) is not (python(one) is not None)] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a(?=b)", "has a lookahead, which RE2 lacks"),
        ("a(?!b)", "has a lookahead, which RE2 lacks"),
        ("(?<=a)b", "has a lookbehind, which RE2 lacks"),
        ("(?<!a)b", "has a lookbehind, which RE2 lacks"),
        (r"(a)\1", "has a back-reference, which RE2 lacks"),
        ("(?P<n>a)(?P=n)", "has a back-reference, which RE2 lacks"),
        ("(a)?(?(1)b|c)", "has a conditional group, which RE2 lacks"),
        ("(?>a)", "has an atomic group, which RE2 lacks"),
        ("a++", "has a possessive repetition, which RE2 lacks"),
        ("a{2}+", "has a possessive repetition, which RE2 lacks"),
        ("a(?#b)", "has a comment, which RE2 lacks"),
        ("(?x)a b", "is verbose (x), which RE2 lacks"),
        (r"[^\W_]", r"has \W in a negated set, which RE2 lacks"),
        ("(?ai)k", "ignores the case of ASCII letters alone (a with i), which RE2 lacks"),
        ("(?i)(?a:k)", "ignores the case of ASCII letters alone (a with i), which RE2 lacks"),
        ("\ud800", "has half of a surrogate pair, which RE2 lacks"),
        (r"[a\ud800-\udfff]", "has half of a surrogate pair, which RE2 lacks"),
        ("a{1001}", "repeats more than 1000 times, which RE2 does not"),
        ("((a{100}){100}){100}", "is refused by RE2 ("),
    ],
)
def test_what_re2_lacks_is_refused_and_python_takes_it(pattern: str, why: str) -> None:
    with pytest.raises(PatternError) as raised:
        compile_search(pattern)
    assert str(raised.value).startswith(why)
    assert isinstance(compile_search(pattern, "python")("ab"), bool)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|a)*b", "(.*)*x", r"^(\w+\s?)*$"])
def test_no_text_takes_long(pattern: str) -> None:
    search = compile_search(pattern)
    begun = time.perf_counter()
    assert search("a" * 100_000 + "!") is False
    assert time.perf_counter() - begun < 1


def test_half_a_surrogate_pair_is_a_character_like_any_other() -> None:
    assert compile_search("^a.b$")("a\ud800b") is True
    assert compile_search("a b")("a\ud800b") is False
