"""A table of bad configs: what each is told, and where."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config.check.config import Config
from headrace.config.files import load_text
from headrace.config.keys.pipeline import DEFAULT_ADDRESS
from headrace.config.text.findings import CODES, ConfigError, Finding
from tests.config.configs import config_of, findings_of

GOOD = """\
name: shop

listen: {address: "0.0.0.0:9470", token: "${TOKEN:-0123456789abcdef}"}
python_path: [lib]

stages:
  ticks: {type: tick, count: 5, rate: 100/s}
  odd:
    type: change
    subscribe_to: {stage: ticks, max_demand: 500, min_demand: 10, cancel: transient, selector: "event > 1"}
    where: 'event % 2 == 1'
    dispatcher: demand
    buffer: {max_events: 7, when_full: drop_newest}
  tally:
    type: tally
    subscribe_to: [odd, {stage: ticks}]
    metrics:
      - {counter: shop_total, labels: {country: "'eu'"}}
      - {histogram: shop_euros, value: event, buckets: [1, 2.5]}
"""

Row = tuple[str, str, int, int, str]

STAGES: list[Row] = [
    # the text below `stages:`, the code, the line (below `stages:`) and column, words of the sentence
    ("  a: {}", "missing-key", 1, 3, "the stage a needs `type:`"),
    ("  a: 5", "bad-value", 1, 3, "a stage is a mapping"),
    ("  a: ${X}", "missing-variable", 1, 6, "X is not set"),
    ("  a: [tick]", "bad-value", 1, 3, "a stage is a mapping"),
    ("  a:", "bad-value", 1, 3, "a stage is a mapping"),
    ("  a b: {type: tick}", "bad-value", 1, 3, "this is no name for a stage"),
    ("  .a: {type: tick}", "bad-value", 1, 3, "this is no name for a stage"),
    ("  a: {type: tik}", "unknown-type", 1, 13, "there is no stage type tik"),
    ("  a: {type: 5}", "bad-value", 1, 13, "`type` must be text, and is 5"),
    ("  a: {type: broken}", "broken-type", 1, 13, "No module named 'driver'"),
    ("  a: {type: optionless}", "broken-type", 1, 13, "has no `Options`"),
    ("  a: {type: no_stage}", "broken-type", 1, 13, "not a class made of Producer"),
    ("  a: {type: tick, cuont: 5}", "unknown-key", 1, 19, "a tick stage has no key `cuont`"),
    ("  a: {type: tick, retry: {}}", "misplaced-key", 1, 19, "a source handles no events: remove `retry`"),
    ("  a: {type: tick, concurrency: 4}", "misplaced-key", 1, 19, "a source handles no events: remove `concurrency`"),
    ("  a: {type: tick, count: 1, count: 2}", "duplicate-key", 1, 29, "`count` stands here twice"),
    ("  a: {type: tick, count: -1}", "bad-value", 1, 26, "`count` must be 0 or more, and is -1"),
    ("  a: {type: tick, count: true}", "bad-value", 1, 26, "not true or false"),
    ("  a: {type: tick, count: 1.5}", "bad-value", 1, 26, "`count` must be a whole number, and is 1.5"),
    ("  a: {type: tick, count: x}", "bad-value", 1, 26, "`count` must be a whole number, and is x"),
    ("  a: {type: tick, count: }", "bad-value", 1, 19, "`count` must be a whole number, and is empty"),
    ("  a: {type: tick, count: [1]}", "bad-value", 1, 19, "`count` must be a whole number, and is a list"),
    ("  a: {type: tick, follow: maybe}", "bad-value", 1, 27, "`follow` must be true or false, and is maybe"),
    ("  a: {type: tick, decode: jsn}", "bad-value", 1, 27, "`decode` must be 'json' or 'text', and is jsn"),
    ("  a: {type: tick, path: 5}", "bad-value", 1, 25, "`path` must be text or a list, and is 5"),
    ("  a: {type: tick, path: [x, 5]}", "bad-value", 1, 29, "`path[1]` must be text, and is 5"),
    ("  a: {type: tick, every: 7}", "bad-value", 1, 26, "`every` has no unit: write 7s"),
    ("  a: {type: tick, rate: 5/y}", "bad-value", 1, 25, "`rate` has the unknown unit 'y'"),
    ("  a: {type: tick, listen: '9125'}", "bad-value", 1, 27, "an address is host:port"),
    ("  a: {type: tick, template: {x: event.a, y: [1, event.b +]}}", "bad-expression", 1, 57, "`template.y[1]`: "),
    (
        "  a: {type: tick, dispatcher: round}",
        "bad-value",
        1,
        31,
        "`dispatcher` must be an installed dispatcher: broadcast, demand, ",
    ),
    ("  a: {type: tick, buffer: {max_event: 5}}", "unknown-key", 1, 28, "`buffer` has no key `max_event`"),
    ("  a: {type: tick, buffer: {max_events: -5}}", "bad-value", 1, 40, "`buffer.max_events` must be 0 or more"),
    ("  a: {type: tick, buffer: {when_full: all}}", "bad-value", 1, 39, "'drop_oldest' or 'error', and is all"),
    ("  a: {type: tick, buffer: 5}", "bad-value", 1, 27, "`buffer` must be a mapping, and is 5"),
    ("  a: {type: change, subscribe_to: a}", "circle", 1, 35, "a -> a"),
]

WITH_TICK: list[Row] = [
    # the same, below a stage `t: {type: tick}`
    (
        "  a: {type: change}",
        "missing-key",
        2,
        3,
        "a is a producer-consumer, as every stage of type change is: it needs",
    ),
    ("  a: {type: tally, subscribe_to: []}", "missing-key", 2, 20, "it needs `subscribe_to:`"),
    ("  a: {type: tick, subscribe_to: t}", "misplaced-key", 2, 19, "it has no input, so remove `subscribe_to`"),
    ("  a: {type: tally, subscribe_to: tt}", "unknown-stage", 2, 34, "there is no stage `tt`"),
    ("  a: {type: tally, subscribe_to: [t, t]}", "duplicate-subscription", 2, 38, "subscribes to t twice"),
    ("  a: {type: tally, subscribe_to: {max_demand: 5}}", "missing-key", 2, 20, "`subscribe_to` needs `stage:`"),
    ("  a: {type: tally, subscribe_to: {stage: [t]}}", "bad-value", 2, 35, "must be text, and is a list"),
    ("  a: {type: tally, subscribe_to: 5}", "bad-value", 2, 34, "a stage's name, a mapping with `stage:`"),
    ("  a: {type: tally, subscribe_to: }", "bad-value", 2, 20, "a stage's name, a mapping with `stage:`"),
    ("  a: {type: tally, subscribe_to: {stage: t, output: x}}", "bad-value", 2, 53, "t has no output `x`"),
    ("  a: {type: tally, subscribe_to: {stage: t, max_demand: 0}}", "bad-value", 2, 57, "must be 1 or more"),
    ("  a: {type: tally, subscribe_to: {stage: t, max_demand: yes}}", "bad-value", 2, 57, "whole number, and is yes"),
    ("  a: {type: tally, subscribe_to: {stage: t, min_demand: 1000}}", "bad-value", 2, 57, "less than max_demand"),
    ("  a: {type: tally, subscribe_to: {stage: t, cancel: never}}", "bad-value", 2, 53, "and is never"),
    (
        "  a: {type: tally, subscribe_to: [{stage: t, selector: 'x'}]}",
        "bad-expression",
        2,
        57,
        "`subscribe_to[0].selector`",
    ),
    ("  a: {type: tally, subscribe_to: t, buffer: {}}", "misplaced-key", 2, 37, "it emits nothing, so remove `buffer`"),
    ("  a: {type: tally, subscribe_to: t, dispatcher: demand}", "misplaced-key", 2, 37, "remove `dispatcher`"),
    ("  a: {type: change, subscribe_to: t, where: 'event.'}", "bad-expression", 2, 51, "`where`: "),
    ("  a: {type: change, subscribe_to: t, where: [1]}", "bad-expression", 2, 38, "an expression is text"),
    (
        "  a: {type: change, subscribe_to: t, where: 'matches(event.a, \"a(?=b)\")'}",
        "bad-expression",
        2,
        63,
        "'a(?=b)' has a lookahead, which RE2 lacks: rewrite it, or write `regex: python` at the top of the config",
    ),
    ("  a: {type: change, subscribe_to: t, call: 5}", "bad-import", 2, 44, "module:function"),
    ("  a: {type: change, subscribe_to: t, call: json.dumps}", "bad-import", 2, 44, "module:function"),
    ("  a: {type: change, subscribe_to: t, call: 'a:b', where: '1'}", "bad-value", 2, 3, "exclude each other"),
    ("  a: {type: tally, subscribe_to: t, metrics: [{counter: a-b}]}", "bad-metric", 2, 57, "letters, digits and _"),
    ("  a: {type: tally, subscribe_to: t, metrics: [{counter: headrace_x}]}", "bad-metric", 2, 57, "own metrics"),
    (
        "  a: {type: tally, subscribe_to: t, metrics: [{counter: a, labels: {le: '1'}}]}",
        "bad-metric",
        2,
        69,
        "le and quantile",
    ),
    (
        "  a: {type: tally, subscribe_to: t, metrics: [{histogram: a}]}",
        "missing-key",
        2,
        47,
        "`metrics[0]` needs `value:`",
    ),
    ("  a: {type: tally, subscribe_to: t, metrics: [{counter: a, vlue: '1'}]}", "unknown-key", 2, 60, "no key `vlue`"),
    ("  a: {type: tally, subscribe_to: t, metrics: [{counter: a}, {counter: a}]}", "duplicate-metric", 2, 71, "line 3"),
    ("  a: {type: lax, subscribe_to: t, knwon: 5}", "unknown-key", 2, 35, "a lax stage has no key `knwon`"),
    ("  a: {type: tally, subscribe_to: t, '<<': 5}", "unknown-key", 2, 37, "no merge keys"),
    ("  a: {type: tally, subscribe_to: t, metrics: 5}", "bad-value", 2, 46, "`metrics` must be a list, and is 5"),
    (
        "  a: {type: tally, subscribe_to: t, metrics: [5]}",
        "bad-value",
        2,
        47,
        "`metrics[0]` must be a mapping, and is 5",
    ),
]

TOP: list[Row] = [
    ("name: shop", "missing-key", 1, 1, "a config needs `stages:`"),
    ("stages: {}", "bad-value", 1, 1, "`stages` must be at least 1 long"),
    ("stages:", "bad-value", 1, 1, "`stages` must be a mapping, and is empty"),
    ("stages: [a]", "bad-value", 1, 1, "`stages` must be a mapping, and is a list"),
    ("stages: {a: {type: tick}}\njob: {}", "unknown-key", 2, 1, "a config has no key `job`"),
    ("stages: {a: {type: tick}}\nstage: {}", "unknown-key", 2, 1, "a config has no key `stage`"),
    ("stages: {a: {type: tick}}\nname: 5", "bad-value", 2, 7, "`name` must be text, and is 5"),
    ("stages: {a: {type: tick}}\nname: a b", "bad-value", 2, 7, "a name has letters"),
    ("stages: {a: {type: tick}}\npython_path: {}", "bad-value", 2, 1, "`python_path` must be a list, and is a mapping"),
    ("stages: {a: {type: tick}}\npython_path: [5]", "bad-value", 2, 15, "`python_path[0]` must be text, and is 5"),
    ("stages: {a: {type: tick}}\nlisten: 9470", "bad-value", 2, 9, "host:port"),
    ("stages: {a: {type: tick}}\nlisten: no", "bad-value", 2, 9, "does not listen is off"),
    ("stages: {a: {type: tick}}\nlisten: false", "bad-value", 2, 9, "does not listen is off"),
    ("stages: {a: {type: tick}}\nlisten:", "bad-value", 2, 1, "or the word off"),
    ("stages: {a: {type: tick}}\nlisten: 0.0.0.0:1", "token-needed", 2, 9, "needs a token"),
    ("stages: {a: {type: tick}}\nlisten: {address: 'a.example:1'}", "token-needed", 2, 19, "needs a token"),
    ("stages: {a: {type: tick}}\nlisten: {token: abc}", "missing-key", 2, 1, "`listen` needs `address:`"),
    ("stages: {a: {type: tick}}\nlisten: {address: 'h:1', token: ''}", "token-needed", 2, 19, "needs 16 characters"),
    ("stages: {a: {type: tick}}\nlisten: {address: 'h:1', tokn: a}", "unknown-key", 2, 26, "has no key `tokn`"),
    ("stages: {a: {type: tick}}\nlisten: {address: 'h:1', token: {a: 1}}", "bad-value", 2, 26, "is a mapping"),
]


def only(text: str, row: Row) -> None:
    code, line, column, words = row[1:]
    findings = [found for found in findings_of(text) if found.code == code and words in found.message]
    assert [(found.line, found.column) for found in findings] == [(line, column)]


@pytest.mark.parametrize("row", TOP, ids=lambda row: row[0])
def test_a_wrong_top_is_told_where_it_is(row: Row) -> None:
    only(row[0], row)
    assert len(findings_of(row[0])) <= 2


@pytest.mark.parametrize("row", STAGES, ids=lambda row: row[0])
def test_a_wrong_stage_is_told_where_it_is(row: Row) -> None:
    text = f"stages:\n{row[0]}"
    only(text, (row[0], row[1], row[2] + 1, row[3], row[4]))
    assert len(findings_of(text)) == 1


@pytest.mark.parametrize("row", WITH_TICK, ids=lambda row: row[0])
def test_a_wrong_subscriber_is_told_where_it_is(row: Row) -> None:
    text = f"stages:\n  t: {{type: tick}}\n{row[0]}"
    only(text, (row[0], row[1], row[2] + 1, row[3], row[4]))
    assert len(findings_of(text)) == 1


def test_a_good_config_holds_what_the_file_says() -> None:
    config = config_of(GOOD, {"TOKEN": "a-secret-of-20-signs"})
    assert (config.name, config.file) == ("shop", "<text>")
    assert config.listen is not None
    assert str(config.listen.address) == "0.0.0.0:9470"
    assert config.listen.token is not None
    assert config.listen.token.get_secret_value() == "a-secret-of-20-signs"
    assert [(stage.name, stage.type.name, stage.type.kind) for stage in config.stages] == [
        ("ticks", "tick", "producer"),
        ("odd", "change", "producer_consumer"),
        ("tally", "tally", "consumer"),
    ]
    assert [metric.name for metric in config.exports] == ["shop_total", "shop_euros"]


def test_what_is_not_said_has_its_default() -> None:
    config = config_of("stages: {a: {type: tick}, b: {type: tally, subscribe_to: a}}")
    assert config.name == "pipeline"
    assert config.listen is not None
    assert config.listen.address == DEFAULT_ADDRESS
    producer, consumer = config.stages
    assert producer.keys.dispatcher.type == "broadcast"
    (subscription,) = consumer.keys.subscribe_to
    assert (subscription.max_demand, subscription.min_demand, subscription.cancel) == (1000, None, "temporary")


def test_listen_off_is_text_and_means_no_listener() -> None:
    assert config_of("{listen: off, stages: {a: {type: tick}}}").listen is None
    assert config_of("{listen: 'off', stages: {a: {type: tick}}}").listen is None


def test_all_findings_come_at_once_sorted_by_place() -> None:
    findings = findings_of(
        """\
nam: shop
listen: 0.0.0.0:9470
stages:
  a: {type: tik, subscribe_to: x}
  b: {type: change, subscribe_to: aa, where: "event.x.lower()", call: "jsn"}
  c: {type: tally, subscribe_to: {stage: c, max_demnd: 1}, metrics: [{counter: headrace_x}]}
  d: {type: tally, subscribe_to: '${UP}'}
  a: {type: tick}
"""
    )
    assert [(found.line, found.column, found.code) for found in findings] == [
        (1, 1, "unknown-key"),
        (2, 9, "token-needed"),
        (4, 13, "unknown-type"),
        (4, 32, "unknown-stage"),
        (5, 35, "unknown-stage"),
        (5, 47, "bad-expression"),
        (5, 72, "bad-import"),
        (6, 42, "circle"),
        (6, 42, "not-a-producer"),
        (6, 45, "unknown-key"),
        (6, 80, "bad-metric"),
        (7, 35, "missing-variable"),
        (8, 3, "duplicate-key"),
    ]
    assert [found.suggestion for found in findings if found.suggestion] == ["name", "tick", "a", "max_demand"]


def test_a_variable_that_is_missing_is_the_only_thing_said_of_its_place() -> None:
    for value in ("count: ${N}", "where: ${N}", "follow: 'x${N}'", "listen: ${N}", "decode: ${N:?ask}"):
        findings = findings_of(f"stages:\n  a:\n    type: tick\n    {value}\n".replace("where", "every"))
        assert [found.code for found in findings] == ["missing-variable"], value


def test_digits_from_a_variable_are_text_where_text_is_asked_for() -> None:
    text = "name: ${T}\nlisten:\n  address: 127.0.0.1:1\n  token: ${T}\nstages: {a: {type: tick}}"
    config = config_of(text, {"T": "00123"})
    assert config.name == "00123"
    assert config.listen is not None
    assert config.listen.token is not None
    assert config.listen.token.get_secret_value() == "00123"
    block = "stages:\n  a:\n    type: tick\n    password: ${T}\n    count: ${N}\n    path: [x, '${N}']\n"
    options = config_of(block, {"T": "1e5", "N": "7"}).stages[0].options
    assert options.model_dump(include={"password", "count", "path"}) == {
        "password": "1e5",
        "count": 7,
        "path": ["x", "7"],
    }


def test_a_type_that_a_variable_gives_as_digits_is_still_a_type() -> None:
    text = "stages:\n  a:\n    type: ${T}\n"
    assert config_of(text, {"T": "tick"}).stages[0].type.name == "tick"
    for value in ("5", "", "true"):
        assert [found.code for found in findings_of(text, {"T": value})] == ["unknown-type"]


def test_an_unknown_type_hides_nothing_else_of_its_stage() -> None:
    findings = findings_of(
        "stages:\n  a: {type: nothing, dispatcher: x, count: -1}\n  b: {type: tally, subscribe_to: a}"
    )
    assert [found.code for found in findings] == ["unknown-type", "bad-value"]


def test_an_alias_is_told_at_its_anchor_and_once() -> None:
    findings = findings_of("stages:\n  a: &a {type: tick, cuont: 1}\n  b: *a")
    assert [(found.line, found.column, found.code) for found in findings] == [(2, 22, "unknown-key")]


CUT = st.integers(0, len(GOOD))


@given(
    start=CUT,
    length=st.integers(0, 12),
    new=st.text(max_size=4) | st.sampled_from(["{", "[", "*a", "${", "\n", "'", ": "]),
)
def test_a_damaged_config_is_a_config_or_findings(start: int, length: int, new: str) -> None:
    config, findings = outcome(GOOD[:start] + new + GOOD[start + length :])
    assert (config is None) is bool(findings)
    assert [found.code for found in findings if found.code not in CODES] == []
    assert findings == sorted(set(findings))


@given(st.text())
def test_any_text_is_a_config_or_findings(text: str) -> None:
    config, findings = outcome(text)
    assert (config is None) is bool(findings)


def outcome(text: str) -> tuple[Config | None, list[Finding]]:
    try:
        return config_of(text), []
    except ConfigError as error:
        return None, list(error.findings)


def test_a_config_may_have_python_run_its_patterns() -> None:
    pattern = "matches(event.a, 'a(?=b)')"
    stages = f"""\
stages:
  t: {{type: tick}}
  a:
    type: change
    subscribe_to: {{stage: t, selector: "{pattern}"}}
    concurrency: 2
    partition_by: "{pattern}"
    where: "{pattern}"
  m: {{type: tally, subscribe_to: a, metrics: [{{counter: a_total, labels: {{x: "{pattern}"}}}}]}}
"""
    assert {finding.code for finding in findings_of(stages)} == {"bad-expression"}
    assert len(findings_of(stages)) == 4
    config = config_of(f"regex: python\n{stages}")
    assert [config.stages[1].keys.partition_by({"a": text}) for text in ("ab", "ac")] == [True, False]  # type: ignore[misc] # it is there
    assert findings_of(f"regex: perl\n{stages}")[0].line == 1


@pytest.mark.parametrize("at", ["%00", "a%00b"])
def test_a_nul_in_a_url_or_path_is_a_finding_and_no_traceback(at: str) -> None:
    text = f"""\
dead_letters: sqlite:///{at}.db
jobs: {{store: "sqlite:///{at}.db"}}
stages:
  a: {{type: read_sql, database: "sqlite:///{at}.db", query: select 1}}
  b: {{type: write_sql, subscribe_to: a, database: "postgresql://db/{at}", table: t, columns: {{a: event}}}}
  c: {{type: send_http, subscribe_to: a, url: "http://127.0.0.1/{at}"}}
  d: {{type: read_lines, path: "\\0", follow: true, checkpoint: "a\\0", buffer: {{kind: sqlite, path: "\\0"}}}}
  e: {{type: write_lines, subscribe_to: d, path: "\\0"}}
"""
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={}, imports=False)
    found = [finding for finding in caught.value.findings if "%00" in finding.message or "NUL" in finding.message]
    assert [finding.line for finding in found] == [1, 2, 4, 5, 6, 7, 7, 7, 8]


def test_without_imports_nothing_that_a_config_names_is_imported(tmp_path: Path) -> None:
    (tmp_path / "side_effect.py").write_text("raise RuntimeError('this was imported')\nclass Mine(Exception): pass\n")
    text = """\
jobs: {store: 'memory:', modules: [side_effect]}
stages:
  a: {type: generate, count: 1}
  b: {type: map, subscribe_to: a, call: 'side_effect:call', retry: {on: ['side_effect:Mine'], not_on: 'side_effect:It'}}
  c: {type: validate, subscribe_to: b, model: 'side_effect:Model'}
  d: {type: 'side_effect:Stage', subscribe_to: c}
"""
    assert [stage.name for stage in load_text(text, folder=tmp_path, environ={}, imports=False).stages] == list("abcd")
    assert "side_effect" not in sys.modules


def test_an_error_class_beside_the_config_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "beside_errors.py").write_text("class Mine(Exception): pass\n")
    text = """\
stages:
  a: {type: generate, count: 1}
  b: {type: discard, subscribe_to: a, retry: {on: 'beside_errors:Mine'}}
"""
    config = load_text(text, folder=tmp_path, environ={})
    retry = config.stages[1].keys.retry
    assert retry is not None
    assert [error.__name__ for error in retry.on] == ["Mine"]


@pytest.mark.parametrize("token", ["", " ", "a", "\n\n", "123456789012345", " 123456789012345\r\n\n"])
@pytest.mark.parametrize("place", ["listen", "stage"])
def test_a_weak_token_is_refused_where_others_reach_the_address(token: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(token)
    address = "address: '0.0.0.0:1', token: '${file:token}'"
    stage = "receive_http, listen: '0.0.0.0:1', token: '${file:token}'"
    if place == "listen":
        text = f"listen: {{{address}}}\nstages: {{a: {{type: generate}}}}"
    else:
        text = f"stages: {{a: {{type: {stage}}}}}"
    with pytest.raises(ConfigError) as caught:
        load_text(text, folder=tmp_path, environ={}, imports=False)
    message = str(caught.value.findings[0])
    assert "others can reach this address, so its token needs 16 characters or more" in message
    assert "openssl rand -hex 16" in message
    here = text.replace("0.0.0.0:", "127.0.0.1:")
    if token.strip():
        assert [stage.name for stage in load_text(here, folder=tmp_path, environ={}).stages] == ["a"]
    else:
        with pytest.raises(ConfigError, match="the token of this address is blank"):
            load_text(here, folder=tmp_path, environ={})


def test_white_space_around_a_token_is_not_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" 0123456789abcdef\r\n\n")
    text = "listen: {address: '0.0.0.0:1', token: '${file:token}'}\nstages: {a: {type: generate}}"
    listen = load_text(text, folder=tmp_path, environ={}).listen
    assert listen is not None
    assert listen.token is not None
    assert listen.token.get_secret_value() == "0123456789abcdef"
