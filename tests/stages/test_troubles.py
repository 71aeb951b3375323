"""What stages do when things go wrong around them: full disks, sinks that are down or hang, clocks that jump."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.house.tree import ROOT

FULL_DISK: Final = ROOT / "tests" / "fakes" / "full_disk_child.py"
CUT_OFF_LINE: Final = 100
CUT_OFF_BYTES: Final = 10 * 2 + 90 * 3 + 2
"""Room for the numbers from 0 to 99, and half of what is the first line of a batch: 100."""

AGAIN: Final = "retry: {attempts: 1000, backoff: 1ms, max_backoff: 1ms}"


def on_a_full_disk(folder: Path, stages: str, when: str, size: int, top: str = "") -> tuple[Any, list[str]]:
    """Run a config while no file grows beyond `size`; return how it ended, and what was logged."""
    config = folder / "full.yaml"
    config.write_text(f"name: full\nlisten: off\n{top}stages:\n{stages}")
    command = [sys.executable, "-P", str(FULL_DISK), str(config), when, str(size)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), ended.stderr.splitlines()


def test_lines_that_a_full_disk_cut_off_spoil_no_other(tmp_path: Path) -> None:
    stages = f"""\
  numbers: {{type: generate, count: 1000}}
  lines: {{type: write_lines, subscribe_to: {{stage: numbers, max_demand: 100}}, path: "{tmp_path}/out", {AGAIN}}}
"""
    told, _ = on_a_full_disk(tmp_path, stages, "again", CUT_OFF_BYTES)
    assert told["is_fine"]
    assert told["redelivered"]["lines"] > 0
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines.count("10") == 2  # the second one is what there was room for of 100
    del lines[CUT_OFF_LINE]
    assert lines == [str(number) for number in range(1000)]
