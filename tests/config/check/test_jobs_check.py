"""The block `jobs:` of a config, and all that can be wrong with it."""

import json
from pathlib import Path

import pytest

from headrace.config.check.config import Config
from headrace.config.files import load_text
from headrace.config.jobs import build_jobs
from headrace.config.text.findings import ConfigError, Finding
from headrace.jobs.rules.limits import GlobalLimit, QueueLimits, RateLimit
from headrace.jobs.settings import QueueOptions
from tests.fakes.config_stages import catalogue

MODULE = "tests.fakes.job_workers"
MODULES = f"modules: [{MODULE}]"
FINE = f"""
jobs:
  store: sqlite:///var/shop.db?synchronous=normal
  queues: {{default: 10, lookups: {{limit: 4}}}}
  {MODULES}
  cron:
    - {{schedule: "0 3 * * *", worker: {MODULE}.double, args: {{number: 1}}, timezone: Europe/Berlin, catch_up: last}}
    - {{schedule: "@hourly", worker: {MODULE}.double, args: {{number: 2}}, name: hourly, queue: lookups}}
  grace: 30s
  keep: {{completed: 1h, discarded: {{age: 30d, count: 10}}}}
stages: {{a: {{type: tick}}}}
"""


def checked(text: str, *, imports: bool = True) -> Config:
    return load_text(text, environ={"MANY": "7", "URL": "oracle:tiger"}, imports=imports, catalogue=catalogue())


def findings_of(text: str, *, imports: bool = True) -> list[Finding]:
    with pytest.raises(ConfigError) as caught:
        checked(text, imports=imports)
    return list(caught.value.findings)


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave `sys.path` as it was: checking with imports puts the config's folder first."""
    monkeypatch.syspath_prepend(Path.cwd())


def test_a_block_of_jobs_has_a_store_queues_workers_and_a_crontab() -> None:
    jobs = checked(FINE).jobs
    assert jobs is not None
    assert {name: queue.limit for name, queue in jobs.keys.queues.items()} == {"default": 10, "lookups": 4}
    assert [entry.known_as for entry in jobs.keys.cron] == [f"{MODULE}.double 0 3 * * *", "hourly"]
    assert jobs.keys.grace == 30.0
    assert jobs.keys.keep.completed is not None
    assert jobs.keys.keep.completed.age == 3600.0
    assert jobs.workers.get(f"{MODULE}.double") is not None


def test_without_imports_no_worker_is_known_and_none_is_missed() -> None:
    text = FINE.replace(f"worker: {MODULE}.double", "worker: no.such").replace(MODULES, "modules: no.such.module")
    jobs = checked(text, imports=False).jobs
    assert jobs is not None
    assert list(jobs.workers) == []


def test_a_config_needs_no_stages_where_it_has_jobs() -> None:
    assert checked("jobs: {store: 'memory:'}").stages == ()


def test_a_queue_may_be_a_number_that_a_variable_gives() -> None:
    jobs = checked(f"jobs:\n  store: 'memory:'\n  {MODULES}\n  queues:\n    a: ${{MANY}}").jobs
    assert jobs is not None
    assert jobs.keys.queues["a"].limit == 7


ROWS: list[tuple[str, str, int, int, str]] = [
    ("jobs: {}", "missing-key", 1, 1, "the block `jobs` needs `store:`"),
    ("jobs:", "bad-value", 1, 1, "must be a mapping"),
    ("jobs: [a]", "bad-value", 1, 1, "must be a mapping"),
    ("jobs: {store: 5}", "bad-value", 1, 15, "`store` must be text"),
    ("jobs: {store: shop.db}", "bad-value", 1, 15, "`store` is no store: begin with one of"),
    ("jobs: {store: 'sqlite://shop.db'}", "bad-value", 1, 15, "sqlite:///var/shop.db"),
    ("jobs: {store: 'memory:', stores: a}", "unknown-key", 1, 26, "the block `jobs` has no key `stores`"),
    ("jobs: {store: 'memory:', queues: {a: 1}}", "missing-key", 1, 26, "none are named"),
    ("jobs: {store: 'memory:', queues: {a: 0}}", "bad-value", 1, 38, "`queues.a` must be 1 or more"),
    ("jobs: {store: 'memory:', queues: {a: true}}", "bad-value", 1, 38, "not true or false"),
    ("jobs: {store: 'memory:', queues: {a: ten}}", "bad-value", 1, 38, "a whole number"),
    ("jobs: {store: 'memory:', queues: {a: {limits: 1}}}", "unknown-key", 1, 39, "has no key `limits`"),
    ("jobs: {store: 'memory:', queues: {a: {rate_limit: 5}}}", "bad-value", 1, 51, "rate_limit"),
    ("jobs: {store: 'memory:', queues: {a: {global_limit: 0}}}", "bad-value", 1, 53, "1 or more"),
    (
        "jobs: {store: 'memory:', queues: {a: {rate_limit: {rate: 1/s, partition: ''}}}}",
        "bad-value",
        1,
        63,
        "path",
    ),
    (
        (
            "jobs:\n store: 'memory:'\n modules: json\n queues:\n  a:\n   rate_limit: {rate: 1/s, partition: args.a}\n"
            "   global_limit: {count: 1, partition: args.b}"
        ),
        "bad-value",
        7,
        40,
        "by one thing only",
    ),
    ("jobs: {store: 'memory:', modules: [no.such]}", "bad-import", 1, 36, "cannot be found"),
    ("jobs: {store: 'memory:', modules: json}", "bad-import", 1, 35, "decorate a function"),
    (
        f"jobs: {{store: 'memory:', {MODULES}, cron: [{{schedule: '* * *', worker: {MODULE}.double}}]}}",
        "bad-value",
        1,
        80,
        "has 3 fields",
    ),
    (
        f"jobs:\n store: 'memory:'\n {MODULES}\n cron: [{{schedule: '@daily', timezone: Mars, worker: a}}]",
        "bad-value",
        4,
        40,
        "time zone",
    ),
    (
        f"jobs:\n store: 'memory:'\n {MODULES}\n cron: [{{schedule: '@daily', worker: {MODULE}.doubel}}]",
        "unknown-worker",
        4,
        38,
        "has a worker",
    ),
    (
        f"jobs:\n store: 'memory:'\n {MODULES}\n cron: [{{schedule: '@daily', worker: {MODULE}.double}}]",
        "bad-arguments",
        4,
        9,
        "is missing",
    ),
    (
        (
            f"jobs:\n store: 'memory:'\n {MODULES}\n"
            f" cron: [{{schedule: '@daily', worker: {MODULE}.double, args: {{number: x}}}}]"
        ),
        "bad-arguments",
        4,
        85,
        "number",
    ),
    (
        "jobs:\n store: 'memory:'\n cron:\n - {schedule: '@daily', worker: a}\n - {schedule: '@daily', worker: a}",
        "bad-value",
        5,
        33,
        "of this name already",
    ),
    ("jobs: {store: 'memory:', keep: {completed: soon}}", "bad-value", 1, 44, "`keep.completed` is not a duration"),
    ("jobs: {store: 'memory:', keep: {done: 1d}}", "unknown-key", 1, 33, "has no key `done`"),
    ("jobs: {store: 'memory:', grace: 5}", "bad-value", 1, 33, "`grace`"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_wrong_block_is_told_where_it_is(row: tuple[str, str, int, int, str]) -> None:
    text, code, line, column, words = row
    found = findings_of(text)
    assert [(one.code, one.line, one.column) for one in found if words in one.message] == [(code, line, column)], found


def test_an_unknown_worker_is_told_with_the_one_that_was_meant() -> None:
    text = f"jobs: {{store: 'memory:', {MODULES}, cron: [{{schedule: '@daily', worker: {MODULE}.doubel}}]}}"
    (found,) = findings_of(text)
    assert found.suggestion == f"{MODULE}.double"
    assert f"{MODULE}.double" in found.allowed


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = FINE.replace("sqlite:", "oracle:").replace(MODULES, "modules: [no.such]").replace("30s", "soon")
    assert {found.code for found in findings_of(text)} == {"bad-value", "bad-import"}
    assert len(findings_of(text)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "jobs: {store: '${URL}'}",
        "jobs: {store: 'memory:', modules: '${URL}'}",
        f"jobs: {{store: 'memory:', {MODULES}, cron: [{{schedule: '@daily', worker: '${{URL}}'}}]}}",
        (
            f"jobs:\n store: 'memory:'\n {MODULES}\n cron:\n"
            f" - {{schedule: '@daily', worker: {MODULE}.double, args: {{number: '${{URL}}'}}}}"
        ),
    ],
)
def test_what_a_variable_gives_is_not_shown(text: str) -> None:
    found = findings_of(text)
    assert "tiger" not in json.dumps([one.as_dict() for one in found])


def stage_findings(jobs: str, stage: str) -> list[Finding]:
    text = f"{jobs}\nstages:\n a: {{type: generate}}\n b: {{type: enqueue_jobs, subscribe_to: a, {stage}}}"
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={})
    return list(caught.value.findings)


def test_a_stage_that_needs_jobs_says_so_where_there_are_none() -> None:
    (found,) = stage_findings("", "worker: a")
    assert (found.code, found.line, found.column) == ("missing-key", 4, 12)
    assert "needs the block `jobs:`" in found.message


def test_a_stage_names_a_worker_that_is_there() -> None:
    (found,) = stage_findings(f"jobs: {{store: 'memory:', {MODULES}}}", f"worker: {MODULE}.doubel")
    assert (found.code, found.line, found.column) == ("unknown-worker", 4, 51)
    assert found.suggestion == f"{MODULE}.double"


def test_a_queue_is_taken_by_a_stage_or_run_by_workers_and_not_both() -> None:
    text = f"""
jobs: {{store: 'memory:', {MODULES}, queues: {{mails: 1}}}}
stages:
  a: {{type: take_jobs, queue: mails}}
  b: {{type: discard, subscribe_to: a}}
"""
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ={})
    (found,) = caught.value.findings
    assert (found.code, found.line, found.column) == ("bad-value", 4, 31)
    assert "runs the queue mails itself" in found.message


def test_a_registry_has_a_worker_that_records() -> None:
    stage = f"worker: {MODULE}.wait, key: event.n"
    text = f"jobs: {{store: 'memory:', {MODULES}}}\nstages:\n a: {{type: generate}}\n"
    with pytest.raises(ConfigError) as caught:
        load_text(f"{text} b: {{type: registry_add, subscribe_to: a, {stage}}}", environ={})
    (found,) = caught.value.findings
    assert "record=True" in found.message


def test_a_queue_has_limits_over_all_processes() -> None:
    text = f"""
jobs:
  store: 'memory:'
  {MODULES}
  queues:
    a: {{limit: 4, rate_limit: 100/s, global_limit: 8}}
    b: {{rate_limit: {{rate: 10/m, burst: 3, partition: args.customer}}}}
"""
    configured = checked(text).jobs
    assert configured is not None
    jobs = build_jobs(configured)
    assert jobs._options == {
        "a": QueueOptions(4, QueueLimits(GlobalLimit(8), RateLimit(100, 1))),
        "b": QueueOptions(10, QueueLimits(None, RateLimit(10, 60, 3, "args.customer"))),
    }
    assert build_jobs(configured, is_running=False)._options == {}
