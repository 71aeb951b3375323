"""The example in plain Python prints the documented output."""

import subprocess
import sys

from tests.house.tree import ROOT


def test_the_example_in_python_runs_to_its_end() -> None:
    command = [sys.executable, "-P", "-W", "error", "examples/python_first.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("mean")] == [
        "demand",
        "upstream",
        "events",
        "downstream",
        "fine",
    ]
    assert [line for line in lines if line.startswith("mean")] == [
        "mean 21.38",
        "mean 21.56",
        "mean 21.46",
        "mean 21.50",
    ]
