"""Texts become trees that know their places."""

import json
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.config.text.findings import CODES, ConfigError, ConfigSource, Finding, Report
from headrace.config.text.parse import FAST_LOADER, load, yaml_tokens
from headrace.config.text.tree import MAX_DEPTH, MAX_NODES, MapNode, as_written, scalars, values
from tests.config.trees import READERS, Reader, good_tree, pure_yaml_tokens, tree

CLEAN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zl", "Zp"]))
DATA: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | CLEAN,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(CLEAN, below, max_size=4),
    max_leaves=12,
)
YAMLS = pytest.mark.parametrize("reader", [yaml_tokens, pure_yaml_tokens], ids=["libyaml", "pure"])


def test_libyaml_is_used_where_it_is() -> None:
    assert FAST_LOADER is not None, "this PyYAML has no libyaml, so the quick way is not tested here"


@pytest.mark.parametrize("name", ["json", "yaml", "pure yaml"])
@given(data=DATA)
def test_json_is_read_as_what_it_says_whether_as_json_or_as_yaml(name: str, data: object) -> None:
    text = json.dumps(data, ensure_ascii=False)
    assert json.dumps(values(good_tree(text, READERS[name]))) == json.dumps(json.loads(text))


@pytest.mark.parametrize("name", ["json", "yaml", "pure yaml"])
@given(data=DATA, indent=st.sampled_from([None, 2]))
def test_every_scalar_is_where_its_place_says(name: str, data: object, indent: int | None) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    for node in scalars(good_tree(text, READERS[name])):
        assert json.loads(text[node.span.start : node.span.end]) == node.value


@given(data=st.dictionaries(CLEAN, DATA), style=st.sampled_from(["'", '"', "|", ">", None]), flow=st.booleans())
def test_libyaml_and_the_pure_parser_read_the_same_tree(
    data: dict[str, object], style: str | None, *, flow: bool
) -> None:
    text = yaml.safe_dump(data, default_style=style, default_flow_style=flow, allow_unicode=True)
    fast, pure = tree(text, yaml_tokens), tree(text, pure_yaml_tokens)
    assert fast[1] == pure[1]
    assert repr(fast[0]) == repr(pure[0])


def loaded(text: str, suffix: str) -> tuple[MapNode | None, Sequence[Finding]]:
    report = Report(ConfigSource(f"any.{suffix}", text))
    try:
        return load(report), report.findings
    except ConfigError as error:
        return None, error.findings


@pytest.mark.parametrize("suffix", ["yaml", "json", "toml"])
@given(text=st.text() | st.text("[]{}:,-&*!?|>'\"# \n\tab0=."))
@example(text="[" * 20_000)
@example(text="- " * 5_000)
@example(text="a.b" * 5_000 + "=1")
@example(text="9" * 5_000)
@example(text="a = " + "9" * 5_000)
@example(text="\ud800")
@example(text='{"a": "\\ud800"}')
@example(text="a: !!int \n")
@example(text="%YAML 9.9\n---\na: 1")
def test_any_text_becomes_a_tree_or_findings(suffix: str, text: str) -> None:
    node, findings = loaded(text, suffix)
    assert node is not None or findings
    for finding in findings:
        assert finding.code in CODES
        assert finding.line >= 1
        assert finding.column >= 1
        assert finding.as_text()


@YAMLS
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: [1", [("syntax", 1, 6, "not closed")]),
        ("a: {b: 1\nc: 2", [("syntax", 2, None, "")]),
        ('a: "x\nb: 3', [("syntax", 1, 4, "quote that opens here is never closed")]),
        ("\ta: 1", [("syntax", 1, 1, "tab cannot indent")]),
        ("a: {b: ${C}}", [("syntax", 1, 8, "must stand in quotes")]),
        ("a: [x${C}]", [("syntax", 1, 6, "must stand in quotes")]),
        ("a: b: c", [("syntax", 1, 5, "put a value that holds `: ` in quotes")]),
        ("a: 1\n b: 2", [("syntax", 2, None, "")]),
        ("a: \x07", [("syntax", 1, 4, "U+0007")]),
        ("{a: 1}\n}", [("syntax", 2, 1, "the config ends before this")]),
        ("a: 1\n]", [("syntax", 2, 1, "check the indentation and the quotes")]),
        ("a: @b", [("syntax", 1, 4, "no value begins with this character: put it in quotes")]),
        ("a: - b", [("syntax", 1, 4, "a list begins on a line of its own")]),
        ("a: [,]", [("syntax", 1, 5, "a value is missing before this")]),
        ("a: | x\n  y", [("syntax", 1, 6, "the text begins on the next line")]),
        ('a: "C:\\data"', [("syntax", 1, None, "write a backslash twice, or use single quotes")]),
        ('a: "\\uD800 \\uxy"', [("syntax", 1, None, "write a backslash twice, or use single quotes")]),
        ("a: &, b", [("syntax", 1, 5, "put a value that begins with & or * in quotes")]),
        ("a: ? b", [("syntax", 1, 4, "put a value that begins with ? in quotes")]),
        ("a:\n  - 1\n  b: 2", [("syntax", 3, None, "is expected here: check the indentation")]),
        ("a: 1\nb: 2\na: 3", [("duplicate-key", 3, 1, "first in line 1")]),
        ("a: {b: 1, b: 2, b: 3}", [("duplicate-key", 1, 11, "`b`"), ("duplicate-key", 1, 17, "`b`")]),
        ("1: x", [("bad-key", 1, 1, "quotes")]),
        ("true: x", [("bad-key", 1, 1, "quotes")]),
        ("? [a]\n: x", [("bad-key", 1, 3, "not a mapping or a list")]),
        ("a: *b", [("unknown-alias", 1, 4, "&b")]),
        ("a: &a [*a]", [("unknown-alias", 1, 8, "never end")]),
        ("a: !thing x", [("unknown-tag", 1, 4, "!thing")]),
        ("a: !!python/object:os.system x", [("unknown-tag", 1, 4, "!!python/object:os.system")]),
        ("a: !!set {x}", [("unknown-tag", 1, 4, "!!set")]),
        ("a: !!int x", [("bad-value", 1, 4, "!!int")]),
        ("a: !!int true", [("bad-value", 1, 4, "!!int")]),
        ("--- {a: 1}\n--- {b: 1}", [("several-documents", 2, 1, "second document")]),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), [("too-large", 1, MAX_DEPTH + 1, "deeper")]),
    ],
)
def test_a_bad_yaml_text_says_where(reader: Reader, text: str, found: list[tuple[str, int, int | None, str]]) -> None:
    _, findings = tree(text, reader)
    assert len(findings) == len(found)
    for finding, (code, line, column, words) in zip(findings, found, strict=True):
        assert (finding.code, finding.line) == (code, line)
        assert column in {None, finding.column}
        assert words in finding.message


@YAMLS
def test_yaml_1_1_words_are_text_and_its_numbers_are_not_what_they_were(reader: Reader) -> None:
    text = "{a: no, b: on, c: 012, d: 1:30, e: 1e3, f: '1', g: !!str 5, h: ! 6, i: !!float 2, j: , k: ~}"
    expected = {"a": "no", "b": "on", "c": 12, "d": "1:30", "e": 1000.0, "f": "1", "g": "5", "h": "6", "i": 2}
    assert values(good_tree(text, reader)) == {**expected, "j": None, "k": None}


@YAMLS
def test_an_alias_is_what_its_anchor_names_each_time_anew(reader: Reader) -> None:
    found = values(good_tree("a: &x {n: [1]}\nb: *x\nc: *x", reader))
    assert found == {"a": {"n": [1]}, "b": {"n": [1]}, "c": {"n": [1]}}
    assert isinstance(found, dict)
    assert found["a"] is not found["b"]


@YAMLS
def test_an_alias_bomb_is_refused_before_it_grows(reader: Reader) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    _, findings = tree("\n".join(lines), reader)
    assert [finding.code for finding in findings] == ["too-large"]
    assert str(MAX_NODES) in findings[0].message


@YAMLS
def test_aliases_cannot_nest_deeper_than_the_text_may(reader: Reader) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, MAX_DEPTH + 5)]
    _, findings = tree("\n".join(lines), reader)
    assert [finding.code for finding in findings] == ["too-large"]


@YAMLS
def test_lines_end_as_editors_see_them(reader: Reader) -> None:
    _, findings = tree('a: "x\u2028y"\r\nb: é😀\r\nb: 2\r\n', reader)
    assert [(finding.line, finding.column, finding.excerpt) for finding in findings] == [(3, 1, "b: 2")]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ('{"a": 1,}', 1, 9, "not JSON"),
        ('{\n "a": nul}', 2, 7, "not JSON"),
        ("{'a': 1}", 1, 2, "not JSON"),
        ('{"a": NaN}', 1, 1, "NaN"),
        ('{"a": 1} x', 1, 10, "not JSON"),
    ],
)
def test_a_bad_json_text_says_where(text: str, line: int, column: int, words: str) -> None:
    _, findings = tree(text, READERS["json"])
    assert [(one.code, one.line, one.column) for one in findings] == [("syntax", line, column)]
    assert words in findings[0].message


def test_json_may_have_tabs_pairs_and_slashes() -> None:
    assert values(good_tree('{\n\t"a":\t"\\ud83d\\ude00\\/"}', READERS["json"])) == {"a": "😀/"}


def test_half_of_a_surrogate_pair_is_a_finding() -> None:
    _, findings = tree('{"a": "x\\ud800"}', READERS["json"])
    assert [(one.code, one.column) for one in findings] == [("bad-value", 7)]


def test_a_json_key_that_stands_twice_is_a_finding() -> None:
    _, findings = tree('{"a": 1,\n "a": 2}', READERS["json"])
    assert [(one.code, one.line, one.column) for one in findings] == [("duplicate-key", 2, 2)]


TOML = """\
name = "shop" # the name
python_path = ["a", 'b',
  "c"]

[stages.visits]
type = "read_lines"
"quoted key".below = { x = 1, "y" = '''long
text''' }

[[stages.all]]
at = 2026-11-24 07:32:00
[[stages.all]]
ratio = -1.5e3
[stages.all.deep]
on = true
"""


def test_toml_values_have_the_line_of_their_key() -> None:
    root = good_tree(TOML, READERS["toml"])
    assert values(root) == {
        "name": "shop",
        "python_path": ["a", "b", "c"],
        "stages": {
            "visits": {"type": "read_lines", "quoted key": {"below": {"x": 1, "y": "long\ntext"}}},
            "all": [{"at": "2026-11-24 07:32:00"}, {"ratio": -1500.0, "deep": {"on": True}}],
        },
    }
    source = ConfigSource("shop.toml", TOML)
    lines = [source.location(node.span)[0] for node in scalars(root)]
    assert lines == [1, 2, 2, 2, 6, 7, 7, 11, 13, 15]
    assert [as_written(node, source) for node in scalars(root)] == [
        '"shop"', '"a"', '"b"', '"c"', '"read_lines"', "1", '"long\\ntext"', '"2026-11-24 07:32:00"', "-1500.0", "true",
    ]  # fmt: skip


def test_toml_keys_have_their_lines() -> None:
    root = good_tree(TOML, READERS["toml"])
    assert isinstance(root, MapNode)
    stages = root.entries["stages"].node
    assert isinstance(stages, MapNode)
    visits = stages.entries["visits"]
    assert TOML[visits.key.start : visits.key.end] == "stages.visits]"
    assert isinstance(visits.node, MapNode)
    quoted = visits.node.entries["quoted key"].key
    assert TOML[quoted.start : quoted.end].startswith('"quoted key".below = {')


@pytest.mark.parametrize(
    ("text", "line", "column"), [('a = "x\nb = 1', 1, 7), ("a = 1\na = 2", 2, 6), ("a = [1", 1, 7), ("= 1", 1, 1)]
)
def test_a_bad_toml_text_says_where(text: str, line: int, column: int) -> None:
    _, findings = tree(text, READERS["toml"])
    assert [(one.code, one.line, one.column) for one in findings] == [("syntax", line, column)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("json", "[" * 90_000 + "]" * 90_000),
        ("json", "[" * 70 + "]" * 70),
        ("toml", "a = " + "[" * 5_000 + "]" * 5_000),
        ("toml", "a = " + "[" * 70 + "]" * 70),
        ("toml", ".".join("a" * 70) + " = 1"),
    ],
)
def test_json_and_toml_may_not_nest_too_deep_either(name: str, text: str) -> None:
    _, findings = tree(text, READERS[name])
    assert [one.code for one in findings] == ["too-large"]


@pytest.mark.parametrize("suffix", ["yaml", "json", "toml"])
@pytest.mark.parametrize("text", ["", "  \n", "\n\n"])
def test_an_empty_file_is_a_finding(suffix: str, text: str) -> None:
    with pytest.raises(ConfigError, match="empty: the file holds no config"):
        load(Report(ConfigSource(f"shop.{suffix}", text)))


@pytest.mark.parametrize(
    ("text", "code"), [("# only this", "empty"), ("---", "empty"), ("[]", "bad-value"), ("x", "bad-value")]
)
def test_a_config_is_a_mapping(text: str, code: str) -> None:
    with pytest.raises(ConfigError, match=f":1:1: {code}: "):
        load(Report(ConfigSource("shop.yaml", text)))


def test_the_format_goes_by_the_name_of_the_file() -> None:
    assert values(load(Report(ConfigSource("a.TOML", "a = 1")))) == {"a": 1}
    assert values(load(Report(ConfigSource("a.conf", "a: 1")))) == {"a": 1}
    with pytest.raises(ConfigError, match="not JSON"):
        load(Report(ConfigSource("a.json", "a: 1")))


def test_a_quoted_scalar_is_known_from_a_plain_one() -> None:
    root = good_tree("[a, 'a', \"a\", !!str a]")
    assert [node.plain for node in scalars(root)] == [True, False, False, False]
