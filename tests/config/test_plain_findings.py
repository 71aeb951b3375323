"""Findings that had sent people the wrong way: what each says now."""

import pytest

from headrace.config.files import load_text
from headrace.config.schema import schema
from headrace.config.text.findings import ConfigError, Finding
from tests.config.configs import config_of, findings_of

TICKS = "stages:\n  a: {type: tick}\n"


def only(text: str) -> Finding:
    (finding,) = findings_of(text)
    return finding


def test_brackets_that_are_not_closed_say_where_they_open() -> None:
    finding = only("stages:\n  a: {type: tick\n  b: {type: tally, subscribe_to: a}\n")
    assert "the `{` opened in line 2, column 6, is not closed" in finding.message


@pytest.mark.parametrize("where", ["startswith(event.a, 'x')", "default(event, 0) > 1", 'contains(event.b, "x")'])
def test_a_comma_in_an_unquoted_expression_asks_for_quotes(where: str) -> None:
    first = findings_of(f"{TICKS}  b: {{type: change, subscribe_to: a, where: {where}}}\n")[0]
    assert first.message == "a comma ends a value inside brackets: put the whole expression in quotes"


def test_a_merge_key_is_named_instead_of_what_it_should_have_brought() -> None:
    finding = only(f"{TICKS}  b: &b {{type: tally, subscribe_to: a}}\n  c: {{<<: *b}}\n")
    assert finding.message.startswith("`<<` is not read here")
    assert (finding.line, finding.column) == (4, 7)


def test_keys_that_begin_with_x_are_a_place_for_anchors() -> None:
    config = config_of("x-many: &many 7\nx-unset: ${NO_SUCH_VARIABLE}\nstages: {a: {type: tick, count: *many}}\n")
    assert config.stages[0].options.model_dump()["count"] == 7
    assert schema()["patternProperties"] == {"^x-": {}}


@pytest.mark.parametrize("broken", ["text", "", "!!str", "[1]", "{<<: 1}"])
def test_a_broken_stage_has_no_echo_at_those_that_read_it(broken: str) -> None:
    found = findings_of(f"stages:\n  src: {broken}\n  b: {{type: tally, subscribe_to: src}}\n")
    assert {finding.line for finding in found} == {2}


@pytest.mark.parametrize("word", ["no", "false", "none"])
def test_a_run_that_shall_not_listen_is_told_the_word_off(word: str) -> None:
    assert only(f"listen: {word}\n{TICKS}").suggestion == "off"


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "'[::1]:65536'"])
def test_a_port_that_is_too_large_is_told_the_range(address: str) -> None:
    assert "a port is a number from 1 to 65535" in only(f"listen: {address}\n{TICKS}").message


def test_a_slip_in_total_is_not_made_longer() -> None:
    text = "stages: {a: {type: generate}, b: {type: count_metrics, subscribe_to: a, metrics: [{counter: a_totl}]}}"
    with pytest.raises(ConfigError) as caught:
        load_text(text, imports=False)
    assert caught.value.findings[0].suggestion == "a_total"


def test_a_bound_that_is_named_is_the_one_of_the_file() -> None:
    finding = only(f"{TICKS}  b: {{type: tally, subscribe_to: {{stage: a, max_demand: 5, min_demand: 9}}}}\n")
    assert "it must be less than max_demand, which is 5" in finding.message


def test_a_number_beyond_all_bounds_is_too_large() -> None:
    assert only(f"stages: {{a: {{type: tick, count: {'9' * 5000}}}}}").message == "`count` is too large a number"


def test_the_mark_stands_under_its_place_behind_wide_characters() -> None:
    text = only(
        f"{TICKS}  b: {{type: tally, subscribe_to: [漢字の名前, x]}}\n".replace("[漢字の名前, x]", "[a, 漢字]")
    ).as_text()
    line, mark = text.splitlines()[1:3]
    assert line.index("漢") == mark.index("^")
    assert mark.count("^") == 4
    behind = findings_of(f"{TICKS}  b: {{type: tally, subscribe_to: [漢字, x]}}\n")[1].as_text().splitlines()
    assert behind[1].index("x]") + 2 == behind[2].index("^")


def test_two_thousand_findings_are_a_hundred_and_a_number() -> None:
    keys = "".join(f"  key{number}: 1\n" for number in range(2000))
    with pytest.raises(ConfigError) as caught:
        config_of(f"stages:\n  a:\n    type: tick\n{keys.replace('  key', '    key')}")
    error = caught.value
    assert error.as_text().endswith("\n\nand 1,900 more findings")
    assert str(error).count("\n") == 100
    assert len(error.as_json()) == 2000


@pytest.mark.parametrize("date", ["2026-11-24", "2026-01-05"])
def test_a_bare_date_is_not_taken_for_a_subtraction(date: str) -> None:
    message = only(f"stages: {{a: {{type: tick, template: {date}}}}}").message
    assert f"{date} is a subtraction here, and not a date" in message
    assert f"\"'{date}'\"" in message
