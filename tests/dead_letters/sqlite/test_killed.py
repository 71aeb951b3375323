"""OS processes that put and replay dead letters are killed at random moments: what was promised is not lost."""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from headrace.dead_letters.replay import AT_ONCE
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter
from tests.fakes.dead_letters import letter
from tests.fakes.os_processes import lives_on
from tests.house.tree import ROOT

PROGRAM = ROOT / "tests" / "fakes" / "dead_letter_child.py"
KILLS = 10
LETTERS = 3000


class Family:
    """The children that work on one file, and what they have noted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "dead.db"
        self.notes: list[Path] = []
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, what: str) -> subprocess.Popen[bytes]:
        self.notes.append(self.folder / f"{len(self.notes) + 1}.notes")
        command = [sys.executable, "-P", str(PROGRAM), what, str(self.path), str(self.notes[-1])]
        child = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
        self.children.append(child)
        return child

    def kill(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.communicate()
        self.children.remove(child)

    def finish(self, what: str) -> None:
        """Let one child go on to its end."""
        last = self.start(what)
        _, said = last.communicate()
        self.children.remove(last)
        assert last.returncode == 0, said.decode()

    def noted(self) -> Counter[int]:
        return Counter(
            int(line)
            for notes in self.notes
            if notes.exists()
            for line in notes.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        )

    def until_more(self, count: int) -> None:
        """Wait until so many more were noted, so that a kill meets the children at work."""
        wanted = self.noted().total() + count
        while self.noted().total() < wanted and all(lives_on(child, 0.005) for child in self.children):
            pass

    def stop(self) -> None:
        for child in list(self.children):
            self.kill(child)


async def _events(path: Path) -> Counter[int]:
    store = SqliteDeadLetterStore(path)
    await store.open()
    found = await store.find(DeadLetterFilter(), 10_000_000)
    await store.close()
    return Counter(int(one.event) for one in found)


async def _fill(path: Path) -> None:
    store = SqliteDeadLetterStore(path)
    await store.open()
    await store.put([letter(number) for number in range(LETTERS)])
    await store.close()


def test_letters_that_were_put_are_kept_once_whoever_is_killed_meanwhile(tmp_path: Path) -> None:
    chance, family = random.Random(7), Family(tmp_path)
    try:
        for _ in range(2):
            family.start("put")
        for _ in range(KILLS):
            family.until_more(chance.randrange(1, 60))
            family.kill(chance.choice(family.children))
            family.start("put")
    finally:
        family.stop()
    kept, noted = asyncio.run(_events(family.path)), family.noted()
    assert noted.total() > KILLS
    assert not noted - kept
    assert set(kept.values()) == {1}


@pytest.mark.parametrize(
    ("what", "most_doubles"), [("replay", KILLS * AT_ONCE), ("replay-messages", KILLS * 4 * AT_ONCE)]
)
def test_letters_go_through_whoever_replays_them_is_killed_meanwhile(
    tmp_path: Path, what: str, most_doubles: int
) -> None:
    asyncio.run(_fill(tmp_path / "dead.db"))
    chance, family = random.Random(7), Family(tmp_path)
    try:
        for _ in range(KILLS):
            child = family.start(what)
            family.until_more(chance.randrange(1, 150))
            family.kill(child)
        family.finish(what)
    finally:
        family.stop()
    noted = family.noted()
    assert sorted(noted) == list(range(LETTERS))
    assert noted.total() - LETTERS <= most_doubles
    assert asyncio.run(_events(family.path)) == {}
