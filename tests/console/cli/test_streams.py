"""Commands whose standard streams are closed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.console.cli.command import HEADRACE, run, write

TEN = """\
listen: off
stages:
  numbers: {type: generate, count: 10}
  sink: {type: show, subscribe_to: numbers}
"""
LINES = """\
listen: off
stages:
  lines: {type: read_lines, path: "-"}
  sink: {type: write_lines, path: out.txt, subscribe_to: lines}
"""
CLOSED = ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


def run_with(closed: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with streams closed as the shell writes it."""
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *HEADRACE, *arguments]
    return subprocess.run(shell, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("options", [["--json-file", "end.json"], ["--progress", "--summary"]], ids=" ".join)
def test_a_run_ends_as_it_would_whatever_is_closed(closed: str, options: list[str], tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TEN)
    done = run_with(closed, tmp_path, "run", "a.yaml", *options)
    assert (done.returncode, "Traceback" in done.stderr + done.stdout) == (0, False)
    if "--json-file" in options:
        assert "all events went through" in (tmp_path / "end.json").read_text()
    elif ">&-" not in closed.split():
        assert "all events went through" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--version"], 0), (["walk"], 2), (["validate", "none.yaml"], 78)],
    ids=lambda found: found[0] if isinstance(found, list) else "",
)
def test_the_exit_code_is_the_same_whatever_is_closed(
    closed: str, arguments: list[str], code: int, tmp_path: Path
) -> None:
    done = run_with(closed, tmp_path, *arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_text_that_the_terminal_cannot_show_is_escaped_and_json_stays_json(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TEN, b_yaml=TEN.replace("subscribe_to: numbers", "subscribe_to: zähler"))
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "ü.yaml").write_text(TEN)
    for encoding in ("ascii", "utf-8:strict"):
        environ = {"PYTHONIOENCODING": encoding}
        fine = run(tmp_path, "validate", f"{folder.name}/ü.yaml", environ=environ)
        assert (fine.returncode, fine.stderr) == (0, "")
        document = run(tmp_path, "validate", "--json", f"{folder.name}/ü.yaml", "b.yaml", environ=environ)
        assert (document.returncode, document.stderr) == (78, "")
        assert json.loads(document.stdout)["findings"][0]["found"] == "zähler"


def test_an_input_that_is_closed_is_an_empty_one(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=LINES)
    done = run_with("<&-", tmp_path, "run", "a.yaml")
    assert (done.returncode, (tmp_path / "out.txt").read_text()) == (0, "")


def test_what_goes_to_a_closed_stream_goes_into_no_file(tmp_path: Path) -> None:
    """The first file that is opened would get the descriptor of the stream."""
    write(tmp_path, a_yaml=LINES, in_txt="one\n")
    shell = ["sh", "-c", 'exec "$@" <in.txt >&- 2>&-', "sh", *HEADRACE, "run", "a.yaml", "--json", "--progress"]
    assert subprocess.run(shell, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "out.txt").read_text() == '"one"\n'


def test_json_is_whole_when_only_the_logs_are_closed(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=TEN.replace("show", "discard"))
    assert json.loads(run_with("2>&-", tmp_path, "run", "a.yaml", "--json").stdout)["exit_code"] == 0
