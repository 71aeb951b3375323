"""A pipeline: a topology that can be made of a config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from headrace.config.build import build
from headrace.config.config import Config
from headrace.config.files import load_file, load_text
from headrace.config.model import ListenKeys
from headrace.pipeline.topology.topology import Topology


class Pipeline(Topology):
    """Stages by name, from Python by `add`, or from a config.

    From a config a producer's end leaves its consumers running (`cancel: temporary`), and a stage with several
    subscribers gives every event to each of them (`dispatcher: broadcast`). In Python both are as in GenStage.
    """

    config: Config | None = None
    """What the pipeline was made of; None when it was made in Python."""

    @classmethod
    def from_file(cls, path: Path | str, *, environ: Mapping[str, str] | None = None) -> Self:
        """Make a pipeline of a config file; raises ConfigError with everything that is wrong in it.

        The file's folder and its `python_path` come first on `sys.path` from then on.
        """
        return cls.from_config(load_file(path, environ=environ))

    @classmethod
    def from_text(cls, text: str, *, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Make a pipeline of the YAML text of a config; `folder` stands for its file's, the current one when None."""
        return cls.from_config(load_text(text, folder=folder, environ=environ))

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Make a pipeline of a config that was checked before."""
        pipeline = cls(config.name, cancel="temporary")
        pipeline.config = config
        build(config, pipeline)
        return pipeline

    @property
    def listen(self) -> ListenKeys | None:
        """Where the config has the listener bind; None for `off`, and for a pipeline made in Python."""
        return self.config.listen if self.config else None
