"""The built package holds the tree, the whole tree, and nothing but the tree."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

import pytest

import headrace
from tests.house.tree import LINKS, ROOT, tracked

STAGES = entry_points(group="headrace.stages")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with an sdist of the tracked files, and the wheel made from that sdist."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("built")
    for path in tracked():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, tree / path, follow_symlinks=False)
    command = [sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wheel_made_from_the_sdist_holds_every_file_of_the_package(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == {path.as_posix() for path in tracked("headrace")}


def test_the_sdist_holds_the_tests_and_no_second_copy_of_a_room(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        held = {Path(*Path(name).parts[1:]).as_posix() for name in sdist.getnames()}
    assert {path.as_posix() for path in tracked("headrace", "tests", "LICENSE", "CHANGELOG.md")} <= held
    assert {name.split("/")[0] for name in held}.isdisjoint(LINKS)


def test_the_installed_version_is_the_one_that_the_package_says() -> None:
    assert version("headrace") == headrace.__version__


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_is_named_like_its_file_and_can_be_loaded(stage: EntryPoint) -> None:
    assert stage.module.startswith("headrace.stages.")
    assert stage.module.rpartition(".")[2] == stage.name
    assert stage.load().__module__ == stage.module
