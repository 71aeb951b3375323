"""Recognizes SQLite files of other programs, in which a reading command creates no tables."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

DEAD_LETTERS_TABLE: Final = "headrace_dead_letters"
JOBS: Final = "oban_jobs"


def has_wrong_schema(path: Path, table: str) -> bool:
    """Return whether a file has tables but not this one; False for an unreadable file, which fails on opening."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.Error:
        return False
    return bool(found) and table not in found
