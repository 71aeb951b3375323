"""A pipeline is killed at random moments under load: no event of its followed file is missing in its database.

`make chaos` kills it more often, at other moments each time; `HEADRACE_KILLS` says how often. Duplicates are where
at-least-once allows them: what was under way at a kill. They are counted, and printed.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT

PROGRAM: Final = ROOT / "tests" / "fakes" / "pipeline_child.py"
KILLS: Final = int(os.environ.get("HEADRACE_KILLS", "6"))
SEED: Final = random.randrange(1_000_000) if "HEADRACE_KILLS" in os.environ else 7
STEP_SECONDS: Final = 60.0
LINES: Final = 4000
"""Written before each kill."""

CONFIG: Final = """\
name: killed
listen: off
stages:
  lines: {{type: read_lines, path: "{folder}/log", decode: json, follow: true, checkpoint: "{folder}/at"}}
  odd: {{type: filter, subscribe_to: {{stage: lines, max_demand: 100}}, where: event.n % 5 > 0}}
  packs: {{type: batch, subscribe_to: {{stage: odd, max_demand: 100}}, max_events: 7, period: 10ms}}
  flat: {{type: flat_map, subscribe_to: {{stage: packs, max_demand: 10}}, each: event}}
  rows:
    type: write_sql
    subscribe_to: {{stage: flat, max_demand: 100}}
    database: "sqlite:///{folder}/rows.db"
    table: seen
    columns: {{n: event.n, life: "'{life}'"}}
    setup: create table if not exists seen (n integer, life text)
    retry: {{attempts: 5, backoff: 10ms}}
"""


class Site:
    """The files of one test, and the pipeline that runs on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = 0
        self.lives = 0
        (folder / "log").touch()

    def write(self, count: int) -> None:
        with (self.folder / "log").open("a") as file:
            file.writelines(f'{{"n": {number}}}\n' for number in range(self.written, self.written + count))
        self.written += count

    def start(self) -> subprocess.Popen[bytes]:
        self.lives += 1
        config = self.folder / "killed.yaml"
        config.write_text(CONFIG.format(folder=self.folder, life=self.lives))
        said = (self.folder / f"{self.lives}.said").open("wb")
        with said:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            return subprocess.Popen([sys.executable, "-P", str(PROGRAM), str(config)], stderr=said, env=environment)

    def rows(self) -> list[int]:
        if not (self.folder / "rows.db").exists():
            return []
        connection = sqlite3.connect(self.folder / "rows.db", timeout=30)
        try:
            return [number for (number,) in connection.execute("select n from seen")]
        except sqlite3.OperationalError:  # the table is about to be made
            return []
        finally:
            connection.close()

    def said(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("*.said")))

    def wait_for(self, count: int, child: "subprocess.Popen[bytes]") -> None:
        """Wait until so many different numbers are there."""
        until = time.monotonic() + STEP_SECONDS
        while len(set(self.rows())) < count:
            assert child.poll() is None, self.said()
            assert time.monotonic() < until, self.said()


def test_nothing_is_missing_and_doubles_are_few_whenever_it_is_killed(tmp_path: Path) -> None:
    chance, site = random.Random(SEED), Site(tmp_path)
    for _ in range(KILLS):
        before = len(set(site.rows()))
        site.write(LINES)
        child = site.start()
        wanted = before + chance.randrange(1, LINES // 2)
        site.wait_for(wanted, child)
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    child = site.start()
    expected = {number for number in range(site.written) if number % 5}
    site.wait_for(len(expected), child)
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0, site.said()
    rows = site.rows()
    assert set(rows) == expected, f"seed {SEED}"
    doubles = len(rows) - len(expected)
    sys.stdout.write(f"{KILLS} kills (seed {SEED}): {len(expected)} events, none missing, {doubles} came twice\n")
    assert doubles <= KILLS * LINES  # at most what one life had under way, each time
    assert json.loads((tmp_path / "at").read_text())["offset"] == (tmp_path / "log").stat().st_size
