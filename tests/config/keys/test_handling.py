"""The keys with which stages say how events are handled: wrong words are told at their place, right ones hold."""

import json
import sys
from pathlib import Path
from typing import Final

import pytest

from headrace.config.files import load_files, load_text
from headrace.config.pipeline import Pipeline
from headrace.config.schema import schema
from headrace.config.text.findings import ConfigError, Finding
from headrace.pipeline.failure import Retry
from headrace.pipeline.stage.settings import Concurrency
from tests.fakes.config_stages import catalogue
from tests.fakes.flaky_functions import TRIES

ROOT: Final = Path(__file__).parents[2]

CONFIG = """\
listen: off
python_path: {root}
stages:
  source: {{type: generate, count: 20}}
  middle: {{type: map, subscribe_to: source, call: "tests.fakes.flaky_functions:{function}", {keys}}}
  sink: {{type: discard, subscribe_to: middle}}
"""

FINDINGS = [
    ("retry: 0", "bad-value", "`retry` must be 1 or more, and is 0"),
    ("retry: true", "bad-value", "`retry`: it must be a number of attempts, or a mapping with `attempts:`"),
    ("retry: {attempts: 3, backof: 1s}", "unknown-key", "`retry` has no key `backof`"),
    ("retry: {on: ConectionError}", "bad-value", "Python has no error class of that name"),
    ("retry: {on: 'json:loads'}", "bad-import", "json:loads is no class of errors"),
    ("retry: {on: 'jsn:JSONDecodeError'}", "bad-import", "there is no module 'jsn'"),
    ("retry: {on: [3]}", "bad-value", "an error class is written as Python's own name"),
    ("retry: {on: []}", "bad-value", "without any error class nothing would be tried again"),
    ("timeout: 0s", "bad-value", "`timeout` must be above 0, and is 0s"),
    ("concurrency: 0", "bad-value", "`concurrency` must be 1 or more, and is 0"),
    ("executor: process", "bad-value", "must be 'inline', 'thread' or 'subprocess', and is process"),
    ("ordered: 3", "bad-value", "`ordered` must be true or false, and is 3"),
]


def findings(text: str) -> list[Finding]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={})
    return list(caught.value.findings)


def config(keys: str, function: str = "flaky") -> str:
    return CONFIG.format(root=ROOT, keys=keys, function=function)


@pytest.mark.parametrize(("keys", "code", "message"), FINDINGS)
def test_a_wrong_word_is_told_at_its_place(keys: str, code: str, message: str) -> None:
    (finding,) = findings(config(keys))
    assert (finding.code, finding.line) == (code, 5)
    assert message in finding.message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("timeout: 1s", "this stage has a timeout that cannot be kept: a `def` on the loop holds it"),
        ("concurrency: 2", "this stage has a concurrency of 2, which would change nothing"),
    ],
)
def test_what_a_plain_function_cannot_keep_is_told(keys: str, message: str) -> None:
    (finding,) = findings(config(keys, "square"))
    assert finding.code == "misplaced-key"
    assert message in finding.message


@pytest.mark.parametrize(
    "key", ["retry: 3", "concurrency: 2", "executor: thread", "timeout: 1s", "dead_letters: false"]
)
def test_a_source_handles_no_events(key: str) -> None:
    text = f"stages:\n  a: {{type: generate, {key}}}\n  b: {{type: discard, subscribe_to: a}}\n"
    (finding,) = findings(text)
    assert (finding.code, finding.line) == ("misplaced-key", 2)
    assert f"a source handles no events: remove `{key.partition(':')[0]}`" in finding.message


def test_the_keys_say_what_the_machine_does() -> None:
    keys = (
        "retry: {attempts: 4, backoff: 10ms, max_backoff: 1s, on: [OSError, 'tests.fakes.flaky_functions:Busy'], "
        "not_on: ConnectionError}, timeout: 2s, concurrency: 3, ordered: false, executor: thread, dead_letters: false"
    )
    pipeline = Pipeline.from_text(config(keys))
    settings = pipeline._specs["middle"].settings
    from tests.fakes.flaky_functions import Busy

    assert settings.retry == Retry(4, 0.01, 1.0, (OSError, Busy), (ConnectionError,))
    assert settings.concurrency == Concurrency(3, "thread", is_ordered=False)
    assert (settings.timeout_seconds, settings.dead_letters) == (2.0, False)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "keys", ["retry: {attempts: 3, backoff: 0s}", "retry: {backoff: 0s, attempts: 3}, concurrency: 4"]
)
async def test_a_flaky_function_is_tried_again_and_what_still_fails_is_kept(keys: str, tmp_path: Path) -> None:
    TRIES.clear()
    text = config(keys) + f"dead_letters: sqlite:///{tmp_path}/dead.db\n"
    async with Pipeline.from_text(text) as pipeline:
        outcome = await pipeline.join()
    assert outcome.is_fine
    middle = pipeline.snapshot().stages[1]
    assert (middle.events_sent, middle.dead_lettered, middle.redelivered) == (19, 1, 7 + 2)
    assert TRIES[7] == 3


@pytest.mark.asyncio
async def test_os_processes_run_the_function_of_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    async with Pipeline.from_text(config("executor: subprocess, concurrency: 2", "square")) as pipeline:
        assert (await pipeline.join()).is_fine
    assert pipeline.snapshot().stages[1].events_sent == 20


def test_editors_know_the_keys() -> None:
    text = str(schema(catalogue()))
    assert all(f"'{key}'" in text for key in ("retry", "concurrency", "executor", "ordered", "timeout", "max_backoff"))


@pytest.mark.parametrize(("said", "seconds"), [("", 60.0), ("stall_after: 5m\n", 300.0), ("stall_after: off\n", None)])
def test_a_config_says_after_how_long_a_stall_is_named(said: str, seconds: float | None) -> None:
    assert Pipeline.from_text(said + config("retry: 2")).stall_seconds == seconds


@pytest.mark.parametrize(("said", "why"), [("0s", "must be above 0s, or the word off"), ("soon", "is not a duration")])
def test_a_stall_takes_a_time(said: str, why: str) -> None:
    (finding,) = findings(f"stall_after: {said}\n" + config("retry: 2"))
    assert (finding.code, finding.line) == ("bad-value", 1)
    assert why in finding.message


COPIES = """\
listen: off
stages:
  source: {type: generate, count: 200, template: {key: "event.n % 7", n: event.n}}
  count: {type: count_metrics, subscribe_to: source, metrics: [{counter: seen_total}]}
  same: {type: map, subscribe_to: source, set: {m: event.n}, concurrency: 3, partition_by: event.key}
  more: {type: map, subscribe_to: same, set: {k: event.key}}
  sink: {type: write_lines, subscribe_to: more, path: "${OUT}"}
"""


@pytest.mark.asyncio
async def test_copies_of_a_stage_get_all_events_of_their_keys_in_order(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    async with Pipeline.from_text(COPIES, environ={"OUT": str(out)}) as pipeline:
        assert (await pipeline.join()).is_fine
    seen = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(event["n"] for event in seen) == list(range(200))
    for key in range(7):
        numbers = [event["n"] for event in seen if event["key"] == key]
        assert numbers == sorted(numbers)
    sent = {stage.name: stage.events_sent for stage in pipeline.snapshot().stages}
    assert sent["same"] == sent["same.1"] + sent["same.2"] + sent["same.3"] == 200
    assert sum(sent[f"same.{number}"] > 0 for number in (1, 2, 3)) > 1


@pytest.mark.parametrize("keys", ["partition_by: event", "partition_by: event, concurrency: 2, executor: thread"])
def test_copies_need_a_number_and_run_on_the_loop(keys: str) -> None:
    (finding,) = findings(config(keys))
    assert finding.code == "misplaced-key"
    assert "with `partition_by` a stage has several copies" in finding.message


def test_more_copies_than_can_be_started_are_told() -> None:
    (finding,) = findings(config("partition_by: event, concurrency: 100000"))
    assert (finding.code, finding.found) == ("bad-value", "100000")
    assert "a stage has 1000 copies at most" in finding.message


ERRORS = """\
listen: off
python_path: {root}
stages:
  source: {{type: generate, count: 20}}
  middle:
    {{type: map, subscribe_to: source, call: "tests.fakes.flaky_functions:flaky", retry: {{attempts: 2, backoff: 0s}}}}
  sink: {{type: discard, subscribe_to: middle}}
  bad: {{type: write_lines, subscribe_to: {{stage: {stage}, output: errors}}, path: "${{OUT}}"}}
"""


@pytest.mark.asyncio
async def test_what_a_stage_gives_up_goes_to_its_errors_output(tmp_path: Path) -> None:
    TRIES.clear()
    out = tmp_path / "bad.jsonl"
    text = ERRORS.format(root=ROOT, stage="middle")
    async with Pipeline.from_text(text, environ={"OUT": str(out)}) as pipeline:
        assert (await pipeline.join()).is_fine
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"event": 7, "stage": "middle", "attempts": 2, "error": {"type": "Busy", "text": "7"}}
    ]


@pytest.mark.parametrize(
    ("stage", "code", "message"),
    [
        ("source", "not-a-producer", "source is a source and handles no events, so it has no errors output"),
        ("midle", "unknown-stage", "there is no stage `midle`"),
    ],
)
def test_an_errors_output_that_is_not_there_is_told(stage: str, code: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(ERRORS.format(root=ROOT, stage=stage), environ={"OUT": "out"})
    (finding,) = caught.value.findings
    assert (finding.code, finding.line) == (code, 8)
    assert message in finding.message


def test_a_sink_has_an_errors_output_and_that_alone_is_no_reader(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(ERRORS.format(root=ROOT, stage="sink"))
    load_files([file], environ={"OUT": "out"}, runs_alone=True)
    text = ERRORS.format(root=ROOT, stage="middle").replace("  sink: {type: discard, subscribe_to: middle}\n", "")
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_files([file], environ={"OUT": "out"}, runs_alone=True)
    assert [finding.code for finding in caught.value.findings] == ["nobody-subscribes"]
