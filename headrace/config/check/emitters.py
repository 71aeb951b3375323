"""Which stages of a run emit what a stage of the config does."""

from headrace.config.check.config import ConfiguredStage
from headrace.config.check.disk_buffers import has_disk_buffer, read_name


def copy_names(stage: ConfiguredStage) -> list[str]:
    """Return which stages emit what a stage of the config does: itself, its copies, or what reads its buffer."""
    if has_disk_buffer(stage):
        return [read_name(stage.name)]
    if stage.keys.partition_by is None:
        return [stage.name]
    return [f"{stage.name}.{number}" for number in range(1, stage.keys.concurrency + 1)]
