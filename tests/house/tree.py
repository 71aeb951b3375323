"""What git holds of this project."""

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINKS = ("config", "pipeline", "stages")


def git(*arguments: str) -> list[str]:
    """Runs git at the root; returns its output's NUL-separated parts."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True)
    return [part for part in done.stdout.split("\0") if part]


def tracked(*paths: str) -> list[Path]:
    """Returns the tracked files and links under the given paths, relative to the root, that are still in the folder."""
    found = [Path(name) for name in git("ls-files", "-z", "--", *paths)]
    return [path for path in found if (ROOT / path).is_symlink() or (ROOT / path).exists()]


def setting(*keys: str) -> list[str]:
    """Returns the list that pyproject.toml holds under these keys."""
    found: object = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for key in keys:
        assert isinstance(found, dict)
        found = found[key]
    assert isinstance(found, list)
    return [str(item) for item in found]
