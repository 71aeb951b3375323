"""What the tests of the config check whole configs with."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.config.check.config import Config
from headrace.config.files import load_text
from headrace.config.text.findings import ConfigError, Finding
from tests.fakes.config_stages import catalogue


def config_of(text: str, environ: Mapping[str, str] | None = None, *, folder: Path | None = None) -> Config:
    """Check a config made of the fake stage types; raises ConfigError. `sys.path` stays as it is."""
    return load_text(text, folder=folder, environ=environ or {}, imports=False, catalogue=catalogue())


def findings_of(text: str, environ: Mapping[str, str] | None = None, *, folder: Path | None = None) -> list[Finding]:
    """Return what is wrong with a config in which something is."""
    with pytest.raises(ConfigError) as caught:
        config_of(text, environ, folder=folder)
    return list(caught.value.findings)
