"""The program on the page about PostgreSQL runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "jobs-postgres.md"


def test_the_program_on_the_page_runs(postgres_url: str, tmp_path: Path) -> None:
    (text,) = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    command = [sys.executable, "-P", "-W", "error", "-c", text]
    environment = {**os.environ, "DATABASE_URL": postgres_url}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
