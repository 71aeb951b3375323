"""What a variable holds is in no output of a run, wherever it stands in the config."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.console.cli.command import run, write

CANARY = "s3cr3t-canary'value"

PLACES = {
    "a path that is not there": '{a: {type: read_lines, path: "/tmp/${SEC}/x"}, b: {type: discard, subscribe_to: a}}',
    "a path that cannot be written": (
        '{a: {type: generate, count: 3}, b: {type: write_lines, subscribe_to: a, path: "/dev/null/${SEC}"}}'
    ),
    "an expression that fails": (
        "{a: {type: generate, count: 3, template: {n: event.n}}, "
        'b: {type: filter, subscribe_to: a, where: "event[\\"${KEY}\\"] == 1"}, c: {type: discard, subscribe_to: b}}'
    ),
}


@pytest.mark.parametrize("form", ["--json", "--summary", "--progress"])
@pytest.mark.parametrize("place", PLACES)
def test_a_variables_value_is_in_no_output(tmp_path: Path, place: str, form: str) -> None:
    write(tmp_path, a_yaml="{name: m, listen: off, stages: " + PLACES[place] + "}")
    environ = {"SEC": CANARY, "KEY": "s3cr3t-canary-key"}
    ended = run(tmp_path, "run", "a.yaml", form, "--log-level", "debug", environ=environ)
    assert ended.returncode == 1
    assert "s3cr3t" not in ended.stdout + ended.stderr
    assert "${SEC}" in ended.stdout + ended.stderr or "${KEY}" in ended.stdout + ended.stderr


LETTERS = """
listen: off
dead_letters: sqlite:///{folder}/dead.db
stages:
  a: {{type: generate, count: 1, template: {{n: event.n}}}}
  b: {{type: map, subscribe_to: a, set: {{x: "{expression}"}}}}
  c: {{type: discard, subscribe_to: b}}
"""


@pytest.mark.parametrize(
    "expression",
    ["'${SECRET}' + event.n", "int('${SECRET}')", "'" + "y" * 200 + "${SECRET}" + "z" * 200 + "' + event.n"],
    ids=["in the expression", "in the reason", "in a long expression"],
)
def test_a_variables_value_is_in_no_dead_letter(tmp_path: Path, expression: str) -> None:
    secret = "s3cr3t-" + "0123456789" * 15
    write(tmp_path, a_yaml=LETTERS.format(folder=tmp_path, expression=expression))
    ended = run(tmp_path, "run", "a.yaml", "--summary", environ={"SECRET": secret})
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("dead.db*"))
    shown = run(tmp_path, "dead-letters", "show", "--store", f"sqlite:///{tmp_path}/dead.db", "1", "--json")
    assert "${SECRET}" in shown.stdout
    for output in (kept.decode(errors="replace"), ended.stdout, ended.stderr, shown.stdout):
        assert "s3cr3t" not in output
        assert "0123456789" not in output


ERRORS = """
listen: off
stages:
  a: {{type: generate, count: 1, template: {{n: event.n}}}}
  b: {{type: map, subscribe_to: a, set: {{x: "int('${{SECRET}}')"}}}}
  c: {{type: discard, subscribe_to: b}}
  d: {{type: write_lines, subscribe_to: {{stage: b, output: errors}}, path: {folder}/errors.jsonl}}
"""


def test_a_variables_value_is_in_no_errors_output(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=ERRORS.format(folder=tmp_path))
    run(tmp_path, "run", "a.yaml", environ={"SECRET": "s3cr3t-canary"})
    kept = (tmp_path / "errors.jsonl").read_text()
    assert "${SECRET}" in kept
    assert "s3cr3t" not in kept


JOBS = """
listen: off
jobs: {{store: "sqlite:///{folder}/jobs.db", modules: [secret_worker], queues: {{default: 1}}}}
stages:
  a: {{type: generate, count: 1, template: {{n: event.n}}}}
  b: {{type: enqueue_jobs, subscribe_to: a, worker: secret_worker.connect, args: {{url: "'${{SECRET}}'"}}}}
"""

WORKER = """
from headrace.jobs import worker

@worker(max_attempts=1)
async def connect(url: str) -> None:
    raise ConnectionError(f"cannot connect to {url}")
"""


def test_a_variables_value_is_in_no_error_of_a_job(tmp_path: Path) -> None:
    (tmp_path / "secret_worker.py").write_text(WORKER)
    write(tmp_path, a_yaml=JOBS.format(folder=tmp_path))
    ended = run(tmp_path, "run", "a.yaml", environ={"SECRET": "s3cr3t-canary"})
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as database:
        [(errors,)] = database.execute("select errors from oban_jobs").fetchall()
    assert "cannot connect to ${SECRET}" in errors
    assert "s3cr3t" not in errors + ended.stdout + ended.stderr
