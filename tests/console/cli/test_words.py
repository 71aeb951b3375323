"""The words of the command line: short options, colours, log formats, completion, help."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace import __version__
from headrace.console.cli.main import make_app
from headrace.console.cli.tables import print_tables, table_of
from tests.console.cli.command import HEADRACE, run, write

ONCE = "listen: off\nstages: {a: {type: generate, count: 1}, b: {type: discard, subscribe_to: a}}\n"
WRONG = ONCE.replace("discard", "discrad")

COMMANDS = [
    [],
    ["run"],
    ["validate"],
    ["schema"],
    *(["jobs", name] for name in ("list", "show", "enqueue", "retry", "cancel", "delete", "run-now")),
    *(["queues", name] for name in ("list", "pause", "resume", "scale")),
    *(["cron", name] for name in ("list", "run")),
    *(["registry", name] for name in ("add", "find")),
    *(["dead-letters", name] for name in ("list", "show", "replay", "drop")),
    *(["stages", name] for name in ("list", "pause", "resume", "change")),
]


def said(*words: str) -> str:
    """Return what a command prints that ends well."""
    result = CliRunner().invoke(make_app(), list(words), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def on_a_terminal(folder: Path, *words: str, **environ: str) -> str:
    """Return what a command writes to a terminal on stderr and stdout."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", **environ}
    with subprocess.Popen([*HEADRACE, *words], cwd=folder, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        found = b""
        try:
            while data := os.read(ours, 65536):
                found += data
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(ours)
        process.wait()
    return found.decode()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_a_short_form_and_shows_no_types_of_python(words: list[str]) -> None:
    text = said(*words, "-h")
    assert text == said(*words, "--help")
    assert not re.search(r"<\w+|list\[|\]\]", text)


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["run"], "headrace run [OPTIONS] FILE"),
        (["validate"], "headrace validate [OPTIONS] FILE..."),
        (["dead-letters", "list"], "headrace dead-letters list [OPTIONS] [FILE]"),
        (["dead-letters", "show"], "headrace dead-letters show [OPTIONS] [FILE] NUMBER..."),
        (["queues", "scale"], "headrace queues scale [OPTIONS] [FILE] NAME [LIMIT]"),
        (["cron", "run"], "headrace cron run [OPTIONS] FILE NAME"),
    ],
)
def test_usage_is_what_a_user_types(words: list[str], usage: str) -> None:
    assert f"Usage: {usage} " in said(*words, "--help")


def test_a_list_of_letters_offers_no_numbers_that_it_refuses() -> None:
    assert "number" not in said("dead-letters", "list", "--help").partition("Options")[0].lower()


def test_the_version_has_a_short_form() -> None:
    assert said("-V") == f"headrace {__version__}\n"


@pytest.mark.parametrize(
    ("shell", "line"),
    [("bash", "complete -o default -F"), ("zsh", "#compdef headrace"), ("fish", "complete --command headrace")],
)
def test_completion_is_shown_for_the_shell_that_was_named(tmp_path: Path, shell: str, line: str) -> None:
    done = run(tmp_path, "--show-completion", shell)
    assert (done.returncode, line in done.stdout) == (0, True)
    typed = {"COMP_WORDS": "headrace va", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "headrace va"}
    asked = {"_HEADRACE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = run(tmp_path, environ={**typed, **asked})
    assert "validate" in done.stdout


def test_a_shell_that_is_not_known_is_refused_with_those_that_are() -> None:
    result = CliRunner().invoke(make_app(), ["--show-completion", "tcsh"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "a.yaml", "--drain-seconds", "-1"], "'--drain-seconds': must be 0.0 or more"),
        (["run", "a.yaml", "--drain-seconds", "x"], "'--drain-seconds': must be a number"),
        (["run", "a.yaml", "--log-level", "loud"], "'--log-level': 'loud' is not one of 'debug', 'info'"),
        (["--color", "blue", "schema"], "'--color': 'blue' is not one of 'auto', 'always', 'never'"),
        (["jobs", "list", "a.yaml", "--limit", "0"], "'--limit': must be 1 or more"),
    ],
)
def test_a_wrong_value_of_an_option_is_refused_in_our_words(words: list[str], said: str) -> None:
    result = CliRunner().invoke(make_app(), words, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("columns", ["0", "99999999999999999999", "wide"])
def test_a_strange_width_of_the_terminal_leaves_tables_whole(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_tables(LONG)
    assert "some words of an event " * 19 in capsys.readouterr().out


def test_several_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=ONCE, b_yaml=ONCE)
    done = run(tmp_path, "run", "a.yaml", "b.yaml", environ={"COLUMNS": "300"})
    assert done.returncode == 2
    assert "takes one file, and got 2: start a command for each file" in done.stderr


def test_quiet_logs_warnings_alone_and_verbose_logs_all(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=ONCE)
    quiet = run(tmp_path, "run", "a.yaml", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert "ended" in run(tmp_path, "run", "a.yaml", "-v").stderr
    both = run(tmp_path, "run", "a.yaml", "-v", "-q")
    assert (both.returncode, "exclude each other" in both.stderr) == (2, True)
    fine = run(tmp_path, "validate", "a.yaml", "-q")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "", "")


@pytest.mark.parametrize("progress", ["--progress", "--no-progress"])
def test_the_format_of_logs_does_not_hang_on_progress(tmp_path: Path, progress: str) -> None:
    write(tmp_path, a_yaml=ONCE)
    text = run(tmp_path, "run", "a.yaml", progress, "--log-format", "text").stderr.splitlines()[-1]
    assert re.match(r"\d\d:\d\d:\d\d info +pipeline 'a' ended", text)
    lines = run(tmp_path, "run", "a.yaml", progress, "--log-format", "json").stderr.splitlines()
    assert json.loads(lines[-1])["level"] == "info"


def test_findings_have_colours_on_a_terminal_alone(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=WRONG)
    assert "\x1b[31munknown-type:\x1b[0m" in on_a_terminal(tmp_path, "validate", "a.yaml")
    assert "\x1b" not in on_a_terminal(tmp_path, "validate", "a.yaml", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(tmp_path, "validate", "--color", "never", "a.yaml")
    assert "\x1b" not in run(tmp_path, "validate", "a.yaml").stderr
    assert "\x1b[31m" in run(tmp_path, "--color", "always", "validate", "a.yaml").stderr
    assert "\x1b[31m" in run(tmp_path, "validate", "--color", "always", "a.yaml", environ={"NO_COLOR": "1"}).stderr


LONG = table_of(("name", "event"), [("z" * 30, "some words of an event " * 20)])


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_tables(LONG)
    assert "some words of an event " * 19 in capsys.readouterr().out


def test_a_narrow_table_wraps_its_cells(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_tables(LONG)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 40
    assert "…" not in out
    assert out.count("z") == 30
