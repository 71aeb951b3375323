"""What the system knows of our OS processes and file descriptors, read from /proc."""

import asyncio
import os
import select
import subprocess
from pathlib import Path
from typing import Final

GUARD: Final = b"/fakes/guard.py"
"""In the command of what watches over a server for all tests of a run."""


def children(parent: int | None = None) -> set[int]:
    """Return the OS processes that this one, or another, has started and not reaped, the guards of servers aside."""
    wanted = os.getpid() if parent is None else parent
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
                is_guard = GUARD in (folder / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            if int(stat.rpartition(")")[2].split()[1]) == wanted and not is_guard:
                found.add(int(folder.name))
    return found


def descriptors() -> dict[str, str]:
    """Return what each open file descriptor of this OS process is."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            found[link.name] = str(link.readlink())
        except OSError:  # the one with which the folder is read
            continue
    return found


def lives_on(child: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Tell whether a child is still there in so many seconds; return as soon as it is not."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


async def is_gone(pid: int) -> None:
    """Wait until an OS process has ended, whoever is to reap it."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await asyncio.to_thread(select.select, [watched], [], [])
    finally:
        os.close(watched)
