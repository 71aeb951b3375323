"""Services of jobs that share a file are killed at random moments under load: what was enqueued comes to its end.

`make chaos` kills more of them, at other moments each time; `HEADRACE_KILLS` says how many.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.elixir_rows import raw
from tests.fakes.os_processes import lives_on
from tests.house.tree import ROOT

PROGRAM: Final = ROOT / "tests" / "fakes" / "jobs_child.py"
KILLS: Final = int(os.environ.get("HEADRACE_KILLS", "12"))
SEED: Final = random.randrange(1_000_000) if "HEADRACE_KILLS" in os.environ else 7
AT_ONCE: Final = 4
STEP_SECONDS: Final = 30.0
"""After so long without a sign of life they hang."""


class Family:
    """The services that run, and what all of them noted and said."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.db"
        self.folder = folder
        self.born = 0
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, what: str = "endless") -> subprocess.Popen[bytes]:
        self.born += 1
        notes, said = (self.folder / f"{self.born}.{kind}" for kind in ("notes", "said"))
        command = [sys.executable, "-P", str(PROGRAM), str(self.path), str(notes), what]
        with said.open("wb") as file:
            child = subprocess.Popen(command, stderr=file, env={**os.environ, "PYTHONPATH": str(ROOT)})
        self.children.append(child)
        return child

    def kill(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.wait()
        self.children.remove(child)

    def kill_all(self) -> None:
        for child in list(self.children):
            self.kill(child)

    def said(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("*.said")))

    def noted(self, what: str) -> Counter[int]:
        lines = [line for file in self.folder.glob("*.notes") for line in whole_lines(file)]
        return Counter(int(line[2:]) for line in lines if line.startswith(what))

    def wait_for_work(self) -> None:
        """Wait until they have begun some more, so that a kill meets them at it."""
        before, until = self.noted("S").total(), time.monotonic() + STEP_SECONDS
        while self.noted("S").total() <= before + AT_ONCE:
            assert all(lives_on(child, 0.005) for child in self.children), self.said()
            assert time.monotonic() < until, self.said()


def whole_lines(file: Path) -> list[str]:
    """Return the lines of a file that somebody may be writing to: the last one may be half there."""
    return file.read_text().rpartition("\n")[0].splitlines()


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(tmp_path)
    yield family
    family.kill_all()


@pytest.mark.timeout(60 + 10 * KILLS)
def test_every_job_ends_and_runs_again_only_after_a_crash(family: Family) -> None:
    chance = random.Random(SEED)
    for _ in range(AT_ONCE):
        family.start()
    for _ in range(KILLS):
        family.wait_for_work()
        seconds, child = chance.uniform(0, 0.1), chance.choice(family.children)
        assert lives_on(child, seconds), family.said()
        family.kill(child)
        family.start()
    family.wait_for_work()
    family.kill_all()
    assert family.start("last").wait(STEP_SECONDS + KILLS) == 0, family.said()

    rows = raw(family.path, "select id, state, coalesce(json_extract(meta, '$.crashes'), 0), errors from oban_jobs")
    jobs = {int(str(row[0])): (row[1], int(str(row[2])), str(row[3])) for row in rows}
    inserted, begun, ended = family.noted("I"), family.noted("S"), family.noted("E")
    crashes = sum(crashes for _, crashes, _ in jobs.values())
    sys.stdout.write(f"seed {SEED}: {KILLS + AT_ONCE} kills, {len(jobs)} jobs, {crashes} attempts broken off\n")
    assert inserted.keys() <= jobs.keys()  # a kill may have come between the commit and the note
    for job_id, (state, died, errors) in jobs.items():
        assert begun[job_id] <= 1 + died, (SEED, job_id, state, died, errors)
        if state == "completed":
            assert ended[job_id] >= 1
        else:
            assert (state, "crashed the process 3 times" in errors) == ("discarded", True), (SEED, job_id, errors)
    assert "Traceback" not in family.said()
    assert "is locked" not in family.said()
