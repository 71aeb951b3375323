"""What a variable holds is in no output of a run, wherever it stands in the config."""

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
