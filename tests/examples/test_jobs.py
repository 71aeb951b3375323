"""The example of durable jobs prints the documented output, in a second run too."""

import subprocess
import sys
from pathlib import Path

from tests.house.tree import ROOT


def _said(path: Path) -> list[str]:
    command = [sys.executable, "-P", "-W", "error", "examples/jobs/results_kept.py", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_results_are_there_at_once_after_a_restart(tmp_path: Path) -> None:
    first, second = (_said(tmp_path / "results.db") for _ in range(2))
    assert first[0] == "Pending(progress=None)"
    assert first[1].startswith("Found(value='the result of one', at=")
    assert second[:2] == [first[1]] * 2
    assert first[2:] == second[2:] == ["FailedResult", "NotFound()"]
