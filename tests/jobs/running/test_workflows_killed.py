"""OS processes that run workflows, chains and batches are killed at random moments: all of them end, in order."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.elixir_rows import raw
from tests.fakes.os_processes import lives_on
from tests.house.tree import ROOT

PROGRAM = ROOT / "tests" / "fakes" / "job_flow_child.py"
KILLS = 8
AT_ONCE = 2

OUT_OF_ORDER = """
select after.id from oban_jobs as after
join json_each(after.meta, '$.deps') as dep
left join oban_jobs as before
  on json_extract(before.meta, '$.workflow_id') = json_extract(after.meta, '$.workflow_id')
  and json_extract(before.meta, '$.name') = dep.value
where before.completed_at is null or after.completed_at < before.completed_at
"""
OUT_OF_CHAIN = """
select id from (select id, completed_at, lag(completed_at) over (order by id) as before from oban_jobs
  where worker = 'link') where completed_at < before
"""
CALLBACKS = """
select json_extract(meta, '$.batch_id'), group_concat(json_extract(meta, '$.callback') || ' ' || state, ', ')
from (select * from oban_jobs order by id) where json_extract(meta, '$.batch_role') = 'callback' group by 1
"""


class Family:
    """The children that run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, count: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", str(PROGRAM), str(self.path), str(count)]
        self.children.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        return self.children[-1]

    def kill(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.communicate()
        self.children.remove(child)

    def ended(self) -> int:
        if not self.path.exists():
            return 0
        found = raw(self.path, "select count(*) from sqlite_master where name = 'oban_jobs'")
        text = "select count(*) from oban_jobs where state = 'completed'"
        return int(str(raw(self.path, text)[0][0])) if found == [(1,)] else 0


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(tmp_path / "jobs.db")
    yield family
    for child in list(family.children):
        family.kill(child)


def _until_at_work(family: Family, before: int) -> None:
    """Wait until the children have ended some more, so that a kill meets them at it."""
    while family.ended() <= before:
        for child in family.children:
            assert lives_on(child, 0.005), child.communicate()[1].decode()


def test_all_of_them_end_and_in_order(family: Family) -> None:
    chance = random.Random(7)
    for _ in range(AT_ONCE):
        family.start(10_000)
    for _ in range(KILLS):
        _until_at_work(family, family.ended())
        seconds, child = chance.uniform(0, 0.1), chance.choice(family.children)
        assert lives_on(child, seconds), child.communicate()[1].decode()
        family.kill(child)
        family.start(10_000)
    for child in list(family.children):
        family.kill(child)
    last = family.start(0)
    _, said = last.communicate()
    family.children.remove(last)
    assert last.returncode == 0, said.decode()

    text = "select state, count(*) from oban_jobs where worker <> 'callback' group by state"
    states = {str(state): int(str(count)) for state, count in raw(family.path, text)}
    assert states.keys() <= {"completed", "discarded"}  # discarded: what was running at three kills
    assert states["completed"] > KILLS
    if "discarded" not in states:
        assert raw(family.path, OUT_OF_ORDER) == []
        callbacks = {str(each) for _, each in raw(family.path, CALLBACKS)}
        assert callbacks == {"ended completed, completed completed, failed cancelled"}
    assert raw(family.path, OUT_OF_CHAIN) == []
