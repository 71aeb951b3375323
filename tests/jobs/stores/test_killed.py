"""OS processes that share a store of jobs are killed at random moments: nothing that was promised is lost."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from tests.fakes.elixir_rows import raw
from tests.fakes.os_processes import lives_on
from tests.house.tree import ROOT

PROGRAM = ROOT / "tests" / "fakes" / "job_child.py"
KILLS = 12
AT_ONCE = 3


class Family:
    """The children that run, and all the notes of those that did."""

    def __init__(self, store: str, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.notes: list[Path] = []
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, count: int) -> subprocess.Popen[bytes]:
        self.notes.append(self.folder / f"{len(self.notes)}.notes")
        command = [sys.executable, "-P", str(PROGRAM), self.store, str(self.notes[-1]), str(count)]
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


def _rows(store: str) -> list[tuple[object, ...]]:
    """Return the id, the state, the crashes and the errors of each job."""
    if not store.startswith("postgresql:"):
        return raw(Path(store), "select id, state, json_extract(meta, '$.crashes'), errors from oban_jobs")
    with psycopg.connect(store) as connection:
        return list(connection.execute("select id, state::text, meta ->> 'crashes', errors::text from oban_jobs"))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_was_inserted_runs_to_its_end_and_again_only_after_a_crash(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = str(tmp_path / "jobs.db") if kind == "sqlite" else str(request.getfixturevalue("postgres_url"))
    chance, family = random.Random(7), Family(store, tmp_path)
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

    jobs = {int(str(row[0])): row[1:] for row in _rows(store)}
    inserted, begun, ended = family.noted("I"), family.noted("S"), family.noted("E")
    assert len(inserted) > KILLS
    assert inserted.keys() <= jobs.keys()
    assert {state for state, _, _ in jobs.values()} <= {"completed", "discarded"}
    for job_id, (state, crashes, errors) in jobs.items():
        assert begun[job_id] <= 1 + int(str(crashes or 0))
        assert ended[job_id] <= 1
        assert state == "completed" or "crashed the process 3 times" in str(errors)
