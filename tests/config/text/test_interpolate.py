"""Variables in the scalars of a parsed config."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.text.findings import ConfigSource, Finding, Report
from headrace.config.text.tree import scalars, values
from headrace.config.text.variables import MAX_FILE_BYTES, BadVariable, VariableContext, fill, interpolate
from tests.config.trees import good_tree

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


def filled(text: str, environ: Mapping[str, str] | None = None, folder: Path = Path()) -> tuple[object, list[Finding]]:
    report = Report(ConfigSource("shop.yaml", text))
    node = interpolate(good_tree(text), VariableContext(environ or {}, folder), report)
    return values(node), report.findings


@given(st.text())
def test_a_text_with_its_dollars_doubled_comes_back(text: str) -> None:
    assert fill(text.replace("$", "$$"), VariableContext({}, Path())).text == text


@given(before=st.text(), value=st.text(), after=st.text(), name=NAMES)
def test_a_variable_is_replaced_and_nothing_else_is_touched(before: str, value: str, after: str, name: str) -> None:
    text = f"{before.replace('$', '$$')}${{{name}}}{after.replace('$', '$$')}"
    found = fill(text, VariableContext({name: value}, Path()))
    assert found.text == before + value + after
    assert found.is_filled
    assert found.is_whole is (before == after == "")


def refused_at(text: str) -> int | None:
    try:
        fill(text, VariableContext({"a": "1", "A_": "2"}, Path("/nowhere")))
    except BadVariable as bad:
        return bad.at
    return None


@given(st.text(st.sampled_from("${}:-?abA_\n ")))
def test_any_text_is_filled_or_refused(text: str) -> None:
    at = refused_at(text)
    assert at is None or text.startswith("${", at)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${PORT}", 8080),
        ("'${PORT}'", "8080"),
        ('"${PORT}"', "8080"),
        ("!!str ${PORT}", "8080"),
        ("x${PORT}", "x8080"),
        ("${PORT}${PORT}", "80808080"),
        ("${YES}", True),
        ("${NO}", "no"),
        ("${NOTHING}", None),
        ("${UNSET:-5}", 5),
        ("${UNSET:-a b}", "a b"),
        ("${UNSET:-}", None),
        ("${NOTHING:-full}", "full"),
        ("${PORT:-5}", 8080),
        ("${UNSET:-${PORT}}", 8080),
        ("${UNSET:-${ALSO:-deep}}", "deep"),
        ("${PORT:-${UNSET}}", 8080),
        ("${PORT:?why}", 8080),
        ("$PORT", "$PORT"),
        ("cost $5", "cost $5"),
        ("$$", "$"),
        ("$${PORT}", "${PORT}"),
        ("$$${PORT}", "$8080"),
        ("${UNSET:-a$$b}", "a$b"),
    ],
)
def test_a_spelling_stands_for_its_value(written: str, value: object) -> None:
    environ = {"PORT": "8080", "YES": "true", "NO": "no", "NOTHING": ""}
    assert filled(f"a: {written}", environ) == ({"a": value}, [])


@pytest.mark.parametrize(
    ("written", "code", "column", "words"),
    [
        ("${SHOP}", "missing-variable", 4, "SHOP is not set, and has no default"),
        ("x ${SHOP} y", "missing-variable", 6, "SHOP is not set"),
        ("${SHOP:?ask Ann}", "missing-variable", 4, "SHOP is not set: ask Ann"),
        ("${EMPTY:?ask Ann}", "missing-variable", 4, "EMPTY is not set: ask Ann"),
        ("${A:-${SHOP}}", "missing-variable", 4, "SHOP is not set"),
        ("${}", "bad-variable", 4, "not written right"),
        ("${A B}", "bad-variable", 4, "not written right"),
        ("${A-x}", "bad-variable", 4, "not written right"),
        ("${A:x}", "bad-variable", 4, "not written right"),
        ("${9}", "bad-variable", 4, "not written right"),
        ("a ${A", "bad-variable", 6, "never closed"),
        ("${A:-b", "bad-variable", 4, "never closed"),
        ("${A:-" * 20 + "}" * 20, "bad-variable", 4, "nest deeper"),
        ("${file:no.txt}", "unreadable-file", 4, "no such file"),
        ("${file:.}", "unreadable-file", 4, "directory"),
    ],
)
def test_what_cannot_be_filled_in_is_a_finding_at_its_place(
    tmp_path: Path, written: str, code: str, column: int, words: str
) -> None:
    value, (found,) = filled(f"a: {written}", {"EMPTY": ""}, tmp_path)
    assert value == {"a": written}
    assert (found.code, found.line) == (code, 1)
    assert found.column == column or "A:-$" in written
    assert words in found.message


def test_a_variable_with_a_name_nearly_right_is_suggested() -> None:
    _, (found,) = filled("a: ${SHOP_TOKN}", {"SHOP_TOKEN": "secret"})
    assert found.suggestion == "${SHOP_TOKEN}"


def test_a_file_is_its_text_without_the_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "lines").write_bytes(b"one\ntwo\r\n")
    (tmp_path / "port").write_text("8080\n")
    environ = {"DIR": str(tmp_path)}
    text = "{a: '${file:token}', b: '${file:lines}', c: '${file:${DIR}/token}', d: \"${file:port}\"}"
    assert filled(text, environ, tmp_path) == ({"a": "abc", "b": "one\ntwo", "c": "abc", "d": "8080"}, [])
    assert filled("a: ${file:port}", {}, tmp_path) == ({"a": 8080}, [])


def test_a_file_that_is_large_or_binary_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff")
    _, findings = filled('["${file:large}", \'${file:binary}\', "${file:a\\0b}"]', {}, tmp_path)
    assert [found.message.rpartition(": ")[2] for found in findings] == [
        "it is larger than 1 MiB",
        "it is not UTF-8",
        "its path is not valid",
    ]


@given(st.text())
def test_a_value_never_becomes_structure(value: str) -> None:
    found, findings = filled("a: ${X}\nb: 'x ${X}'\nc: [1]", {"X": value})
    assert not findings
    assert isinstance(found, dict)
    assert list(found) == ["a", "b", "c"]
    assert found["b"] == f"x {value}"
    assert isinstance(found["a"], str | int | float | None)


def test_a_key_and_a_comment_are_left_alone() -> None:
    assert filled("'${X}': 1 # ${Y}") == ({"${X}": 1}, [])


def test_only_what_was_filled_is_marked_so() -> None:
    report = Report(ConfigSource("shop.yaml", "[a, $$, '${X}', 'x${X:-}']"))
    node = interpolate(good_tree(report.source.text), VariableContext({"X": "1"}, Path()), report)
    assert [scalar.filled for scalar in scalars(node)] == [False, False, True, True]
