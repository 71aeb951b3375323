"""How findings are shown."""

import json

from headrace.config.text.findings import CODES, ConfigError, ConfigSource, Finding, Problem, TextSpan, merged
from headrace.errors import HeadraceError

TEXT = "name: shop\nstages:\n\ta: {type: tick, cuont: 5}\n"
FAULT = Problem("unknown-key", "a tick stage has no key `cuont`", "cuont", ("count", "rate"), "count")


def finding() -> Finding:
    start = TEXT.index("cuont")
    return ConfigSource("shop.yaml", TEXT).finding(TextSpan(start, start + 5), FAULT)


def test_a_finding_is_one_line_with_its_place_code_and_suggestion() -> None:
    assert str(finding()) == ("shop.yaml:3:18: unknown-key: a tick stage has no key `cuont`; did you mean `count`?")


def test_the_text_form_marks_the_place_under_the_line_of_the_file() -> None:
    assert finding().as_text().splitlines()[1:] == [
        "     3 | \ta: {type: tick, cuont: 5}",
        "       | \t                ^^^^^",
        "       = allowed: count, rate",
    ]


def test_a_long_line_is_cut_around_the_place() -> None:
    text = "x" * 500 + "HERE" + "y" * 500
    shown = ConfigSource("a", text).finding(TextSpan(500, 504), Problem("syntax", "no")).as_text().splitlines()
    start = shown[2].index("^")
    assert shown[1][start : start + 4] == "HERE"
    assert shown[2].count("^") == 4
    assert len(shown[1]) < 130


def test_a_control_character_never_reaches_the_terminal() -> None:
    shown = ConfigSource("a", "a: \x1b[31mred").finding(TextSpan(3, 4), Problem("syntax", "no")).as_text()
    assert "\x1b" not in shown


def test_many_allowed_words_are_counted_and_kept_for_json() -> None:
    words = tuple(f"word{number}" for number in range(30))
    found = ConfigSource("a", "x").finding(TextSpan(0, 1), Problem("bad-value", "no", allowed=words))
    assert found.as_text().endswith("word19 and 10 more")
    assert found.as_dict()["allowed"] == list(words)


def test_the_json_form_has_plain_values_and_the_same_keys_for_all() -> None:
    told = json.loads(json.dumps(ConfigError([finding()]).as_json()))
    assert told == [
        {
            "file": "shop.yaml",
            "line": 3,
            "column": 18,
            "code": "unknown-key",
            "message": "a tick stage has no key `cuont`",
            "found": "cuont",
            "allowed": ["count", "rate"],
            "suggestion": "count",
            "excerpt": "\ta: {type: tick, cuont: 5}",
            "width": 5,
        }
    ]


def test_findings_are_sorted_by_place_each_once_and_files_keep_their_order() -> None:
    first, second = ConfigSource("z.yaml", "a\nb\nc"), ConfigSource("a.yaml", "a\nb\nc")
    findings = [
        first.finding(TextSpan(4, 5), Problem("syntax", "third")),
        first.finding(TextSpan(0, 1), Problem("syntax", "first")),
        second.finding(TextSpan(2, 3), Problem("syntax", "fourth")),
        first.finding(TextSpan(0, 1), Problem("syntax", "first")),
        first.finding(TextSpan(2, 3), Problem("syntax", "second")),
    ]
    assert [one.message for one in merged(findings).findings] == ["first", "second", "third", "fourth"]


def test_a_config_error_says_all_findings_and_is_one_of_ours() -> None:
    error = ConfigError([finding(), finding()])
    assert isinstance(error, HeadraceError)
    assert str(error).count("unknown-key") == 2
    assert error.as_text().count("^^^^^") == 2


def test_every_code_says_what_it_means() -> None:
    for code, meaning in CODES.items():
        assert code == code.lower().replace("_", "-")
        assert meaning
