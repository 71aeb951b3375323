"""The command line as a whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace import __version__
from headrace.console.cli.main import COMMANDS, load_command, make_app
from tests.console.cli.command import HEADRACE, NUMBERS, run, write


def test_help_names_every_command() -> None:
    found = CliRunner().invoke(make_app(), ["--help"])
    assert found.exit_code == 0
    assert all(command in found.output for command in COMMANDS)


@pytest.mark.parametrize("command", ["run", "validate", "schema"])
def test_every_command_has_help_and_takes_json(command: str) -> None:
    found = CliRunner().invoke(make_app(), [command, "--help"], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    assert "--json" in found.output


def test_the_version_is_the_packages() -> None:
    found = CliRunner().invoke(make_app(), ["--version"])
    assert (found.exit_code, found.output) == (0, f"headrace {__version__}\n")


@pytest.mark.parametrize("arguments", [["walk"], ["--loud"], ["run", "--progress=maybe"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(make_app(), arguments).exit_code == 2


def test_the_schema_is_json_and_knows_the_stage_types(tmp_path: Path) -> None:
    done = run(tmp_path, "schema")
    assert done.returncode == 0
    titles = {
        stage["title"] for stage in json.loads(done.stdout)["properties"]["stages"]["additionalProperties"]["oneOf"]
    }
    assert {"generate", "filter", "discard"} <= titles


def modules_after(code: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def test_help_loads_no_more_than_it_shows(tmp_path: Path) -> None:
    loaded = modules_after("import headrace.console.cli.main", tmp_path)
    heavy = {"asyncio", "pydantic", "yaml", "starlette", "uvicorn", "prometheus_client"}
    assert not heavy & loaded
    assert "headrace.console.cli.main" in loaded
    assert not any(name.startswith("headrace.console.cli.commands.") for name in loaded)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_line_of_a_command_is_the_first_line_of_its_own_help(name: str) -> None:
    module, help_line = COMMANDS[name]
    own = load_command(name, module).help
    assert own is not None
    assert own.splitlines()[0] == help_line


def test_validating_loads_no_server(tmp_path: Path) -> None:
    write(tmp_path, a_yaml=NUMBERS)
    code = (
        "from headrace.console.cli.commands.validate import check_files\n"
        "check_files(['a.yaml'], imports=True, as_json=False)"
    )
    loaded = modules_after(code, tmp_path)
    assert not {"starlette", "uvicorn", "prometheus_client", "rich"} & loaded
    assert "headrace.stages.sources.generate" in loaded


def test_a_run_loads_only_what_its_config_names(tmp_path: Path) -> None:
    stages = "{numbers: {type: generate, count: 1}, sink: {type: discard, subscribe_to: numbers}}"
    write(tmp_path, a_yaml=f"listen: off\nstages: {stages}\n")
    code = (
        "from headrace.console.cli.commands.run import RunOptions, run_file\n"
        "assert run_file(RunOptions('a.yaml', log_level='warning')) == 0"
    )
    loaded = modules_after(code, tmp_path)
    libraries = {"starlette", "uvicorn", "h11", "httpx2", "prometheus_client", "rich", "sqlite3", "tomllib", "anyio"}
    assert not libraries & loaded
    ours = ("jobs", "config.jobs", "console.web", "dead_letters.service", "dead_letters.sqlite_store", "stages.sql")
    more = ("http.server", "stages.edges.sqlite_log", "stages.files", "stages.windows")
    assert not {f"headrace.{name}" for name in (*ours, *more)} & loaded
    assert "headrace.stages.sources.generate" in loaded


def test_whoever_reads_only_the_first_lines_gets_no_traceback(tmp_path: Path) -> None:
    with subprocess.Popen([*HEADRACE, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()
    assert complaint == ""
    assert process.returncode == 1
