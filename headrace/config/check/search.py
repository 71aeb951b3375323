"""Where Python looks for the functions that a config names: beside the config first, then in its `python_path`."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path


def put_first(folders: Iterable[Path]) -> None:
    """Put folders at the head of `sys.path`, in their order, each once: one that stood further back is moved.

    They stay for the life of the OS process: a function may import more when it is called.
    """
    first = [str(folder) for folder in dict.fromkeys(folders)]
    sys.path[:] = [*first, *(folder for folder in sys.path if folder not in first)]
    importlib.invalidate_caches()
