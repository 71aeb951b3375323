"""Reads config files; checks them alone and against each other."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from headrace.config.check.check import CheckOptions, check
from headrace.config.check.config import Config, clashes, duplicates
from headrace.config.stage_types import StageTypes
from headrace.config.text.findings import ConfigError, ConfigSource, Finding, Problem, merged, read
from headrace.config.text.variables import VariableContext

TEXT = "<text>"
"""The name in findings of a config that came from no file."""


def load_file(
    path: Path | str,
    *,
    environ: Mapping[str, str] | None = None,
    imports: bool = True,
    catalogue: StageTypes | None = None,
    runs_alone: bool = False,
) -> Config:
    """Read and check one config file. Raises `ConfigError` with all findings.

    `environ` are the variables for `${...}`, by default the variables of the OS process; `catalogue` are the stage
    types, by default the installed ones. With `imports` the file's folder and its `python_path` are put first on
    `sys.path`, and the Python functions that it names are imported; without, only their names are checked. With
    `runs_alone` a stage that emits to no other is a finding; otherwise the program around it may read or subscribe
    to that stage.
    """
    return load_files([path], environ=environ, imports=imports, catalogue=catalogue, runs_alone=runs_alone)[0]


def load_files(
    paths: Iterable[Path | str],
    *,
    environ: Mapping[str, str] | None = None,
    imports: bool = True,
    catalogue: StageTypes | None = None,
    runs_alone: bool = False,
) -> list[Config]:
    """Read and check config files that run side by side. Raises `ConfigError` with the findings of all files.

    Besides the findings of `load_file`: two pipelines with one name, two that export one metric, and two that
    listen on one port.
    """
    variables = os.environ if environ is None else environ
    types = catalogue or StageTypes.installed()
    configs: list[Config] = []
    findings: list[Finding] = []
    for path in map(Path, paths):
        try:
            conditions = CheckOptions(VariableContext(variables, path.parent), types, imports, runs_alone)
            configs.append(check(read(path), conditions))
        except ConfigError as error:
            findings.extend(error.findings)
    findings.extend(_between(configs))
    if findings:
        raise merged(findings)
    return configs


def load_parts(
    path: Path | str, keys: Iterable[str], *, environ: Mapping[str, str] | None = None, imports: bool = False
) -> Config:
    """Read a config file, but check only these keys at its top. Raises `ConfigError` with their findings.

    A command that reads the store of a file needs no variable of its stages. Of `stages` only the keys that name
    them are read; their types stay unknown.
    """
    path = Path(path)
    context = VariableContext(os.environ if environ is None else environ, path.parent)
    return check(read(path), CheckOptions(context, StageTypes({}), imports, reads=frozenset(keys)))


def load_text(
    text: str,
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    imports: bool = True,
    catalogue: StageTypes | None = None,
) -> Config:
    """Check a config that is in no file. Raises `ConfigError`.

    `folder` stands for the folder of the file, by default the current one; `load_file` has the other arguments,
    too.
    """
    variables = os.environ if environ is None else environ
    context = VariableContext(variables, folder or Path.cwd())
    return check(ConfigSource(TEXT, text), CheckOptions(context, catalogue or StageTypes.installed(), imports))


def _between(configs: Iterable[Config]) -> Iterator[Finding]:
    """Yield the findings between files that have none on their own."""
    names: dict[str, Config] = {}
    for config in configs:
        first = names.setdefault(config.name, config)
        if first is not config:
            message = f"the pipeline of {first.file} has the same name: give each `name:` to one pipeline"
            yield config.source.finding(config.name_span, Problem("duplicate-name", message))
    yield from clashes(claim for config in configs for claim in config.addresses)
    yield from duplicates(metric for config in configs for metric in config.exports)
