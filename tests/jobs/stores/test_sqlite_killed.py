"""OS processes that share a file of jobs are killed at random moments: nothing that was promised is lost."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.fakes.elixir_rows import raw
from tests.fakes.os_processes import lives_on
from tests.house.tree import ROOT

PROGRAM = ROOT / "tests" / "fakes" / "job_child.py"
KILLS = 12
AT_ONCE = 3


class Family:
    """The children that run, and all the notes of those that did."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.db"
        self.folder = folder
        self.notes: list[Path] = []
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, count: int) -> subprocess.Popen[bytes]:
        self.notes.append(self.folder / f"{len(self.notes)}.notes")
        command = [sys.executable, "-P", str(PROGRAM), str(self.path), str(self.notes[-1]), str(count)]
        child = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.children.append(child)
        return child

    def kill(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.communicate()
        self.children.remove(child)

    def finish(self) -> None:
        last = self.start(0)
        _, said = last.communicate()
        self.children.remove(last)
        assert last.returncode == 0, said.decode()

    def noted(self, what: str) -> Counter[int]:
        lines = [line for notes in self.notes if notes.exists() for line in notes.read_text().splitlines()]
        return Counter(int(line[2:]) for line in lines if line.startswith(what))


def _until_at_work(family: Family, before: int) -> None:
    """Wait until the children have done something more, so that a kill meets them at it."""
    while sum(family.noted("S").values()) <= before:
        assert all(lives_on(child, 0.005) for child in family.children), family.children[0].stderr


def test_what_was_inserted_runs_to_its_end_and_again_only_after_a_crash(tmp_path: Path) -> None:
    chance, family = random.Random(7), Family(tmp_path)
    try:
        for _ in range(AT_ONCE):
            family.start(100_000)
        for _ in range(KILLS):
            _until_at_work(family, sum(family.noted("S").values()))
            seconds, child = chance.uniform(0, 0.1), chance.choice(family.children)
            assert lives_on(child, seconds), child.communicate()[1].decode()
            family.kill(child)
            family.start(100_000)
        for child in list(family.children):
            family.kill(child)
        family.finish()
    finally:
        for child in list(family.children):
            family.kill(child)

    text = "select id, state, json_extract(meta, '$.crashes'), errors from oban_jobs"
    jobs = {int(str(row[0])): row[1:] for row in raw(family.path, text)}
    inserted, begun, ended = family.noted("I"), family.noted("S"), family.noted("E")
    assert len(inserted) > KILLS
    assert inserted.keys() <= jobs.keys()
    assert {state for state, _, _ in jobs.values()} <= {"completed", "discarded"}
    for job_id, (state, crashes, errors) in jobs.items():
        assert begun[job_id] <= 1 + int(str(crashes or 0))
        assert ended[job_id] <= 1
        assert state == "completed" or "crashed the process 3 times" in str(errors)
