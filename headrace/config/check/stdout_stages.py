"""Which stages of a config write events to standard output."""

from collections.abc import Iterator

from headrace.config.check.config import Config
from headrace.stages.files.output_file import STANDARD_OUTPUT
from headrace.stages.sinks.show import Show
from headrace.stages.sinks.write_lines import WriteLinesOptions


def stdout_stages(config: Config) -> Iterator[str]:
    """Yield the names of the stages that write events to standard output."""
    for stage in config.stages:
        options = stage.options
        is_file = isinstance(options, WriteLinesOptions) and options.path == STANDARD_OUTPUT
        if is_file or issubclass(stage.type.stage, Show):
            yield stage.name
