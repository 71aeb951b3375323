"""What a config says of the outputs of a stage is checked where it stands."""

from pathlib import Path

import pytest

from headrace.config.files import load_files, load_text
from headrace.config.text.findings import ConfigError, Finding

STAGES = """\
listen: off
stages:
  numbers: {type: generate, count: 100, template: {n: event.n}}
  parts: {type: route, subscribe_to: numbers, outputs: {low: event.n < 30, high: event.n > 60}, default: other}
"""


def findings_of(text: str) -> tuple[Finding, ...]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={"OUTPUT": "secret"})
    return tuple(caught.value.findings)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("{stage: parts, output: hihg}", "bad-value", "parts has no output `hihg`: it has low, high, other, errors"),
        ("parts", "missing-key", "parts has several outputs: say which, {stage: parts, output: low}"),
        ("{stage: numbers, output: low}", "bad-value", "numbers has no output `low`"),
        ("[{stage: parts, output: low}, {stage: parts, output: low}]", "duplicate-subscription", "twice"),
    ],
)
def test_a_subscription_names_one_of_the_outputs_once(line: str, code: str, words: str) -> None:
    (found,) = findings_of(STAGES + f"  end: {{type: discard, subscribe_to: {line}}}\n")
    assert (found.code, found.line) == (code, 5)
    assert words in found.message


def test_a_wrong_name_is_told_with_the_right_one() -> None:
    (found,) = findings_of(STAGES + "  end: {type: discard, subscribe_to: {stage: parts, output: hihg}}\n")
    assert found.suggestion == "high"


def test_what_a_variable_says_is_not_shown() -> None:
    (found,) = findings_of(STAGES + '  end: {type: discard, subscribe_to: {stage: parts, output: "${OUTPUT}"}}\n')
    assert "parts has no output `${OUTPUT}`" in found.message
    assert "secret" not in str(found)


def test_an_output_that_nobody_takes_is_named_where_the_config_runs_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(STAGES + "  end: {type: discard, subscribe_to: {stage: parts, output: low}}\n")
    load_files([file], environ={})
    with pytest.raises(ConfigError) as caught:
        load_files([file], environ={}, runs_alone=True)
    (found,) = caught.value.findings
    assert found.code == "nobody-subscribes"
    assert "no stage takes outputs high, other of parts" in found.message


def test_who_takes_the_errors_of_a_stage_takes_none_of_its_outputs(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    all_of_it = ", ".join(f"{{stage: parts, output: {name}}}" for name in ("low", "high", "other", "errors"))
    file.write_text(STAGES + f"  end: {{type: discard, subscribe_to: [{all_of_it}]}}\n")
    (config,) = load_files([file], environ={}, runs_alone=True)
    assert [to.output for to in config.stages[-1].keys.subscribe_to] == ["low", "high", "other", "errors"]


def test_without_imports_outputs_are_not_looked_at_where_options_say_them() -> None:
    text = STAGES + "  end: {type: discard, subscribe_to: {stage: parts, output: x}}\n"
    config = load_text(text, environ={}, imports=False)
    assert [to.output for to in config.stages[-1].keys.subscribe_to] == ["x"]


SUMS = """\
listen: off
stages:
  numbers: {{type: generate, count: 100, template: {{n: event.n}}}}
  sums: {{type: aggregate, subscribe_to: numbers, window: {{tumbling: 1m}}, time: event.n, values: {{n: count}}{more}}}
  ends: {{type: discard, subscribe_to: sums}}
  late: {{type: discard, subscribe_to: {{stage: sums, output: {output}}}}}
"""


@pytest.mark.parametrize(
    ("more", "output", "words", "suggestion"),
    [
        (", late: route", "lat", "sums has no output `lat`: it has late, errors, for failed events", "late"),
        ("", "late", "sums has no output `late`: it has with `late: route`", None),
        (", late: update, lateness: 1h", "late", "sums has no output `late`: it has with `late: route`", None),
        ("", "x", "sums has no output `x`: it has errors, for failed events", None),
        (
            ", late: route",
            "late, partition: 1",
            "a partition is for a partition dispatcher, and sums.late has `dispatcher: broadcast`",
            None,
        ),
        (
            ", late: route, dispatcher: demand",
            "late, selector: event.n",
            "a selector picks from broadcast events, and sums.late has `dispatcher: demand`",
            None,
        ),
        (
            ", late: route, dispatcher: weighted",
            "errors, weight: 2",
            "a weight is for a weighted dispatcher, and sums.errors has `dispatcher: demand`",
            None,
        ),
    ],
)
def test_a_subscription_to_a_side_output_that_cannot_be_is_told(
    more: str, output: str, words: str, suggestion: str | None
) -> None:
    (found,) = findings_of(SUMS.format(more=more, output=output))
    assert (found.line, found.suggestion) == (6, suggestion)
    assert words in found.message


def test_an_output_of_validate_is_told_with_the_option_that_makes_it() -> None:
    (found,) = findings_of(
        STAGES + "  fits: {type: validate, subscribe_to: numbers, schema: {}}\n"
        "  end: {type: discard, subscribe_to: {stage: fits, output: invalid}}\n"
    )
    assert found.message == "fits has no output `invalid`: it has with `invalid: route`"


@pytest.mark.parametrize("more", ["", ", dispatcher: {type: partition, partitions: 1, by: event.n}"])
def test_results_are_taken_by_no_name_and_late_events_by_theirs(more: str, tmp_path: Path) -> None:
    text = SUMS.format(more=f", late: route{more}", output="late")
    text = text.replace("subscribe_to: sums", "subscribe_to: {stage: sums, partition: 0}") if more else text
    file = tmp_path / "a.yaml"
    file.write_text(text)
    for config in (*load_files([file], environ={}, runs_alone=True), load_text(text, environ={}, imports=False)):
        assert [to.output for stage in config.stages[2:] for to in stage.keys.subscribe_to] == [None, "late"]


def test_who_takes_late_events_alone_takes_no_results(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    text = SUMS.format(more=", late: route", output="late")
    file.write_text(text.replace("  ends: {type: discard, subscribe_to: sums}\n", ""))
    with pytest.raises(ConfigError) as caught:
        load_files([file], environ={}, runs_alone=True)
    (found,) = caught.value.findings
    assert (found.code, found.line) == ("nobody-subscribes", 4)


def test_late_events_need_nobody_who_takes_them(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    text = SUMS.format(more=", late: route", output="late")
    file.write_text("".join(line for line in text.splitlines(keepends=True) if "  late:" not in line))
    (config,) = load_files([file], environ={}, runs_alone=True)
    assert [stage.name for stage in config.stages] == ["numbers", "sums", "ends"]
