"""The JSON document at the end of a run stays one document."""

import json
from pathlib import Path

import pytest

from tests.console.cli.command import run, write

SHOWING = """\
listen: off
stages:
  numbers: {type: generate, count: 2, template: {n: "event.n"}}
  sink: {type: SINK, subscribe_to: numbers}
"""


@pytest.mark.parametrize("sink", ["show", "write_lines, path: '-'"])
def test_a_document_among_events_is_refused_and_goes_to_a_file_instead(tmp_path: Path, sink: str) -> None:
    write(tmp_path, a_yaml=SHOWING.replace("SINK", sink))
    refused = run(tmp_path, "run", "a.yaml", "--json")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "the stage sink writes events to stdout" in refused.stderr
    assert "--json-file FILE" in refused.stderr
    done = run(tmp_path, "run", "a.yaml", "--json-file", "end.json")
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"n": 0}, {"n": 1}]
    assert json.loads((tmp_path / "end.json").read_text())["exit_code"] == 0


@pytest.mark.parametrize("sink", ["show", "shwo"])
@pytest.mark.parametrize(
    ("path", "why"), [("missing/end.json", "No such file or directory"), (".", "Is a directory")], ids=["missing", "."]
)
def test_a_file_for_the_document_that_cannot_be_written_is_said_before_the_run(
    path: str, why: str, sink: str, tmp_path: Path
) -> None:
    write(tmp_path, a_yaml=SHOWING.replace("SINK", sink))
    done = run(tmp_path, "run", "a.yaml", "--json-file", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"headrace: --json-file: {path} cannot be written ({why})\n"


def test_findings_are_a_document_in_that_file_too(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=SHOWING.replace("SINK", "shwo"))
    done = run(tmp_path, "run", "a.yaml", "--json-file", "end.json")
    assert done.returncode == 78
    assert json.loads((tmp_path / "end.json").read_text())["findings"][0]["code"] == "unknown-type"
