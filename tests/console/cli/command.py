"""The command line in a process of its own."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pytest

HEADRACE = [sys.executable, "-P", "-m", "headrace"]

NUMBERS = """\
name: tally
listen: 127.0.0.1:0
stages:
  numbers: {type: generate, rate: 1000/s}
  sink: {type: discard, subscribe_to: numbers}
"""
"""A config that runs until a signal ends it."""


def run(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a folder, with `environ` beside the variables that are there."""
    variables = {**os.environ, **(environ or {})}
    return subprocess.run(
        [*HEADRACE, *arguments], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def write(folder: Path, **texts: str) -> None:
    """Write files: `a_yaml` is a.yaml, `shop_py` is shop.py."""
    for name, text in texts.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text)


class Command:
    """A command that runs; what it writes to stderr is read line by line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._stderr = cast("IO[str]", process.stderr)

    def until(self, text: str) -> str:
        """Read on until a line of stderr has `text` in it; return that line."""
        for line in self._stderr:
            self.lines.append(line)
            if text in line:
                return line
        pytest.fail(f"{text!r} was never written: {''.join(self.lines)}")

    def url(self) -> str:
        """Return where it listens, as soon as it does."""
        found = re.search(r"listening on (http://[^\s\"]+)", self.until("listening on"))
        assert found is not None
        return found[1]

    def wait_until_ready(self, url: str) -> None:
        """Ask until /ready is 200."""
        while ask(f"{url}/ready")[0] != 200:
            pass

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return the exit code, stdout, and all of stderr."""
        out, rest = self.process.communicate()
        return self.process.returncode, out, "".join(self.lines) + rest


def ask(url: str) -> tuple[int, str]:
    """Return status and body of a GET."""
    try:
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own listener's
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Command]:
    """Start a command in a folder; it is killed when the block ends before it does."""
    with subprocess.Popen(
        [*HEADRACE, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Command(process)
        finally:
            process.kill()


def document(text: str) -> dict[str, object]:
    """Return the JSON document that a command has printed."""
    found: dict[str, object] = json.loads(text)
    return found
