"""A source with a buffer on disk: the names of the stages that write the buffer and read it."""

from headrace.config.check.config import ConfiguredStage


def has_disk_buffer(stage: ConfiguredStage) -> bool:
    """Tell whether a stage keeps on disk what it emits."""
    return stage.keys.buffer.kind == "sqlite"


def keep_name(name: str) -> str:
    """Return what the stage is called that writes the buffer of another.

    >>> keep_name("hits")
    'hits.kept'
    """
    return f"{name}.kept"


def read_name(name: str) -> str:
    """Return what the stage is called that reads the buffer of another.

    >>> read_name("hits")
    'hits.buffer'
    """
    return f"{name}.buffer"
