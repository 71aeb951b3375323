"""Reads only the part of a config that a command needs."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from headrace.config.check.config import Config
from headrace.config.files import load_parts
from headrace.config.text.findings import ConfigError

_UNSET: Final = frozenset({"missing-variable", "unreadable-file"})


def read_part(file: str, keys: Iterable[str], *, instead: str | None = None, imports: bool = False) -> Config:
    """Return a config with only these keys checked. Raises `ConfigError`.

    Findings about variables name `instead`, the option that replaces the file.
    """
    try:
        return load_parts(file, keys, imports=imports)
    except ConfigError as error:
        if instead is None:
            raise
        hint = f"; set it, or leave the file out and give {instead} URL"
        config_error = ConfigError(
            replace(one, message=one.message + hint) if one.code in _UNSET else one for one in error.findings
        )
    raise config_error
