"""The pins: exact, hashed, and free of the address they came from."""

import re
import subprocess

import pytest

from tests.house.tree import ROOT, setting, tracked

# Put together here, so that this file does not hold what it forbids.
HOSTS = [name + suffix for name, suffix in (("pypi", ".org"), ("python", "hosted"), ("anaconda", ".org"))]
LOCKS = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "package-lock.json"}
BUILD_ONLY = {"editables", "hatchling"}


def names(lines: list[str]) -> set[str]:
    """Returns the projects that stand at the start of the lines, in small letters."""
    return {match[0].lower() for line in lines if (match := re.match(r"[A-Za-z0-9][\w.-]*", line))}


@pytest.mark.parametrize("file", ["run.txt", "dev.txt"])
def test_every_requirement_is_exact_and_hashed(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert lines
    assert [line for line in lines if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)] == []


def test_what_running_installs_is_what_the_package_declares() -> None:
    run = names((ROOT / "requirements" / "run.in").read_text().splitlines())
    assert run - BUILD_ONLY == names(setting("project", "dependencies"))


def test_testing_adds_to_what_running_has_and_changes_no_pin() -> None:
    pins = [
        set(re.findall(r"^[\w.-]+==\S+", (ROOT / "requirements" / file).read_text(), re.MULTILINE))
        for file in ("run.txt", "dev.txt")
    ]
    assert pins[0] < pins[1]


def test_no_tracked_file_names_a_registry_host() -> None:
    search = ["git", "grep", "--files-with-matches", "-I", "--fixed-strings"]
    for host in HOSTS:
        search += ["-e", host]
    found = subprocess.run(search, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")


def test_no_lock_file_is_tracked() -> None:
    assert {path.name for path in tracked()}.isdisjoint(LOCKS)
