"""Where Python looks for the functions that a config names: beside the config first, then in its `python_path`."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path


def put_first(folders: Iterable[Path]) -> None:
    """Put folders at the head of `sys.path`, in their order; one that is there already stays where it is.

    They stay for the life of the OS process: a function may import more when it is called.
    """
    new = [str(folder) for folder in dict.fromkeys(folders)]
    sys.path[:0] = [folder for folder in new if folder not in sys.path]
    importlib.invalidate_caches()
