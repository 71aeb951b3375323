"""Checks one text as a whole.

The check of jobs is imported only for a text that has them: it takes longer to load than most texts to check.
"""

import importlib
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from headrace.config.check.config import (
    Claim,
    Config,
    ConfiguredStage,
    Export,
    clashes,
    duplicates,
    exports,
    run_claim,
    stage_claims,
)
from headrace.config.check.graph import ConfigNode, graph_problems, unconsumed_problems
from headrace.config.check.stage_names import name_problems
from headrace.config.check.validation import Subject, keys_of, validate
from headrace.config.custom_types import NotAStage, custom_type, dotted, unread_type
from headrace.config.keys.pipeline import NAME_RULE, PipelineKeys, StageKeys, is_name
from headrace.config.keys.stage import buffer_problems, handling_problems
from headrace.config.stage_types import GROUP, BrokenType, LoadedType, StageTypes, example_of, raised
from headrace.config.text.findings import START, ConfigSource, Problem, Report, merged
from headrace.config.text.messages import MERGE, close, missing_key, unknown_key, with_article
from headrace.config.text.parse import load
from headrace.config.text.tree import (
    LocatedNode,
    MapEntry,
    MapNode,
    ScalarNode,
    TreeNode,
    as_written,
    child,
    point,
    scalars,
)
from headrace.config.text.variables import Redactor, VariableContext, interpolate
from headrace.errors.root import is_ours, origin
from headrace.expressions.patterns import Regex
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.stage import Stage
from headrace.stages.functions import FunctionError
from headrace.stages.options import NoOptions

if TYPE_CHECKING:
    from headrace.config.check.jobs import ConfiguredJobs, JobsCheck


def prepend_to_path(folders: Iterable[Path]) -> None:
    """Put folders at the head of `sys.path`, in their order, each once.

    They stay for the life of the OS process: a function may import more when it is called.
    """
    first = [str(folder) for folder in dict.fromkeys(folders)]
    sys.path[:] = [*first, *(folder for folder in sys.path if folder not in first)]
    importlib.invalidate_caches()


_OWN: Final = f"write a class of your own as module:Class, or install it as an entry point in the group {GROUP}"
COMMON_KEYS: Final = keys_of(StageKeys)
DEFAULT_NAME: Final = "pipeline"

_NAMING: Final = frozenset({"type", "subscribe_to", "concurrency", "partition_by", "buffer"})
"""The keys of a stage that decide which stages a run has, and their names."""

_EXTRA: Final = "x-"
"""The prefix of the user's own keys at the top: a place for anchors and notes, as in Compose files."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """The options of a check: variables and folder, stage types, and whether functions are imported.

    With `runs_alone` no Python program reads or subscribes to a stage. With `reads` only these keys at the top are
    checked, and of each stage only the keys that name it; other keys may be wrong.
    """

    context: VariableContext
    catalogue: StageTypes
    imports: bool = True
    runs_alone: bool = False
    reads: frozenset[str] | None = None


def check(source: ConfigSource, conditions: CheckOptions) -> Config:
    """Return the checked config of a text. Raises `ConfigError` with all findings."""
    return _Check(source, conditions).run()


class _Check:
    def __init__(self, source: ConfigSource, conditions: CheckOptions) -> None:
        self.source = source
        self.conditions = conditions
        self.report = Report(source)
        self.is_whole = conditions.reads is None
        self.name_span = START
        self.jobs: JobsCheck | None = None
        self.regex: Regex = "re2"

    def run(self) -> Config:
        loaded = without_extras(load(self.report))
        read = loaded if self.is_whole else pruned(loaded, self.conditions.reads or ())
        tree = interpolate(read, self.conditions.context, self.report)
        named = child(LocatedNode(tree), "name")
        self.name_span = named.node.span if named else START
        keys = validate(
            PipelineKeys, Subject(LocatedNode(tree), "a config"), self.report, imports=self.conditions.imports
        )
        self.regex = _regex(child(LocatedNode(tree), "regex"))
        if self.is_whole and child(LocatedNode(tree), "stages") is None and child(LocatedNode(tree), "jobs") is None:
            self.report.add(tree.span, missing_key("stages", "a config"))
        if self.conditions.imports:
            prepend_to_path(self._folders(child(LocatedNode(tree), "python_path")))
        block = child(LocatedNode(tree), "jobs")
        if block is not None:
            from headrace.config.check.jobs import JobsCheck

            self.jobs = JobsCheck(block, self.report, imports=self.conditions.imports)
        jobs = self.jobs.run() if self.jobs else None
        checked = [self._stage(name, found) for name, found in self._stages(tree)]
        if self.is_whole:
            self._graph({config_node.name: config_node for config_node, _ in checked})
        return self._config(keys, jobs, checked, LocatedNode(tree))

    def _graph(self, vertices: Mapping[str, ConfigNode]) -> None:
        """Report all problems between the stages."""
        self.report.add_all(graph_problems(vertices))
        if self.conditions.runs_alone:
            self.report.add_all(unconsumed_problems(vertices))

    def _folders(self, type_node: LocatedNode | None) -> Iterator[Path]:
        """Yield the config's folder and those in its `python_path`, also where other keys at the top are wrong."""
        folder = self.conditions.context.folder.absolute()
        yield folder
        for node in scalars(type_node.node) if type_node else ():
            if not node.refused and "\0" not in node.text:
                yield folder / node.text

    def _stages(self, tree: TreeNode) -> Iterator[tuple[str, LocatedNode]]:
        """Yield the stages by name, and report the ones that are no mappings."""
        stages = child(LocatedNode(tree), "stages")
        if stages is None or not isinstance(stages.node, MapNode):
            return
        for name, entry in stages.node.entries.items():
            yield name, LocatedNode(entry.node, entry.key)
            if not is_name(name):
                self.report.add(entry.key, Problem("bad-value", f"this is no name for a stage: {NAME_RULE}", name))
            if not isinstance(entry.node, MapNode) and not (isinstance(entry.node, ScalarNode) and entry.node.refused):
                message = "a stage is a mapping: write its `type:` and its options below its name"
                self.report.add(entry.key, Problem("bad-value", message, as_written(entry.node, self.source)))

    def _stage(self, name: str, found: LocatedNode) -> tuple[ConfigNode, ConfiguredStage | None]:
        """Check one stage: its common keys, and its type's options when the type is known."""
        node = found.node
        if not isinstance(node, MapNode):
            return ConfigNode(name, found), None
        if MERGE in node.entries:
            self.report.add(node.entries[MERGE].key, unknown_key(MERGE, f"the stage {name}", ()))
            return ConfigNode(name, found), None
        common = Subject(_part(found, common=True), f"the stage {name}")
        keys = validate(StageKeys, common, self.report, imports=self.conditions.imports, regex=self.regex)
        stage_type = self._type(child(found, "type")) if self.is_whole else unread_type(keys.type if keys else "")
        if stage_type is None:
            return ConfigNode(name, found), None
        if stage_type.kind is None:
            return ConfigNode(name, found), ConfiguredStage(name, stage_type, keys, NoOptions()) if keys else None
        type_node = child(found, "type") or found
        options = self._options(stage_type, found, type_node)
        example = None if options is None else self._example(stage_type, options, type_node)
        if stage_type.needs_jobs and self.jobs is None:
            self._needs_jobs(stage_type.name, type_node)
        if options is not None and self.jobs is not None:
            self.jobs.stage(options, found)
        config_node = _node(name, found, stage_type, options, example)
        if keys is None or options is None or example is None:
            return config_node, None
        self.report.add_all(handling_problems(keys, example, found))
        is_partitioned = keys.dispatcher.partitions is not None
        self.report.add_all(buffer_problems(stage_type.kind, keys.buffer, found, is_partitioned=is_partitioned))
        return config_node, ConfiguredStage(name, stage_type, keys, options)

    def _needs_jobs(self, type_name: str, type_node: LocatedNode) -> None:
        """Report that a stage needs the block `jobs:`."""
        node = type_node.node
        shown = node.shown if isinstance(node, ScalarNode) else type_name
        message = f"{with_article(shown)} stage needs the block `jobs:` at the top of the file, with its `store:`"
        self.report.add(node.span, Problem("missing-key", message))

    def _options(self, stage_type: LoadedType, found: LocatedNode, type_node: LocatedNode) -> BaseModel | None:
        """Return the checked options; None, and findings, where they or their model are wrong."""
        own = Subject(_part(found, common=False), with_article(f"{stage_type.name} stage"), COMMON_KEYS)
        self._unread(stage_type, own)
        taken = next((key for key in keys_of(stage_type.options) if key in COMMON_KEYS and key != "type"), None)
        if taken is not None:
            why = f"its `Options` has a field `{taken}`, a key that headrace reads itself: give the field another name"
            self._broken(type_node.node, why)
            return None
        try:
            return validate(stage_type.options, own, self.report, imports=self.conditions.imports, regex=self.regex)
        except (Exception, SystemExit) as error:
            if origin(error) is None and is_ours(error):
                raise
            self._broken(type_node.node, f"its `Options` raises {raised(error)}")
        return None

    def _broken(self, node: TreeNode, why: str) -> None:
        """Report why the stage type that a node names cannot be used."""
        written = as_written(node, self.source)
        self.report.add(node.span, Problem("broken-type", f"the stage type {written} cannot be used: {why}"))

    def _example(self, found: LoadedType, options: BaseModel, type_node: LocatedNode) -> type[Stage] | Stage | None:
        """Return a stage with its options; its class where it is a source, or cannot be made here.

        Return None, and report a finding, where making one fails.
        """
        is_installed = found.name in self.conditions.catalogue.names
        if not self.conditions.imports or (found.kind == "producer" and is_installed):
            return found.stage
        made = example_of(found, options)
        if isinstance(made, str):
            self._broken(type_node.node, made)
            return None
        return found.stage if found.kind == "producer" else made

    def _unread(self, stage_type: LoadedType, own: Subject) -> None:
        """Report unknown keys for a guest whose model ignores them, as pydantic does by default."""
        if stage_type.options.model_config.get("extra", "ignore") != "ignore":
            return
        node, known = own.found.node, keys_of(stage_type.options)
        for key, entry in node.entries.items() if isinstance(node, MapNode) else ():
            if key not in known:
                self.report.add(entry.key, unknown_key(key, own.called, (*COMMON_KEYS, *known)))

    def _type(self, type_node: LocatedNode | None) -> LoadedType | None:
        """Return the stage's type; None, and a finding, when no such type is installed."""
        node = type_node.node if type_node else None
        if not isinstance(node, ScalarNode) or node.refused or not (node.filled or isinstance(node.value, str)):
            return None
        known = self.conditions.catalogue.names
        if node.text in known:
            return self._loaded(node)
        if ":" in node.text:
            return self._custom(node)
        written = as_written(node, self.source)
        suggestion = close(node.shown, known) or dotted(node.shown)
        self.report.add(
            node.span, Problem("unknown-type", f"there is no stage type {written}: {_OWN}", written, known, suggestion)
        )
        return None

    def _custom(self, node: ScalarNode) -> LoadedType | None:
        """Return the type of a class that the config names; None, and a finding, where there is no such class."""
        written = as_written(node, self.source)
        try:
            found = custom_type(node.text, imports=self.conditions.imports)
            return replace(found, name=node.shown)
        except FunctionError as error:
            span = point(node, self.source.text, error.column - 1)
            problem = Problem("bad-import", error.why, written, suggestion=error.suggestion)
        except NotAStage as error:
            span = node.span
            problem = Problem(
                "broken-type", f"the stage type {written} cannot be used: {error.why}", written, error.allowed
            )
        if node.filled:
            why = "the reason is not shown, since it may reveal the value of a variable"
            problem = Problem(problem.code, f"the stage type {written} cannot be used; {why}", written)
        self.report.add(span, problem)
        return None

    def _loaded(self, node: ScalarNode) -> LoadedType | None:
        try:
            return self.conditions.catalogue.find(node.text)
        except BrokenType as broken:
            self._broken(node, broken.why)
        return None

    def _exports(self, stages: Sequence[ConfiguredStage], locations: Mapping[str, LocatedNode]) -> Iterator[Export]:
        for stage in stages:
            families = stage.type.stage.metric_families
            yield from exports(stage.name, stage.options, families, locations[stage.name], self.source)

    def _config(
        self,
        keys: PipelineKeys | None,
        jobs: "ConfiguredJobs | None",
        checked: list[tuple[ConfigNode, ConfiguredStage | None]],
        root: LocatedNode,
    ) -> Config:
        """Return the config. Raises `ConfigError` when there is any finding."""
        stages = tuple(stage for _, stage in checked if stage is not None)
        locations = {config_node.name: config_node.found for config_node, _ in checked}
        metrics = tuple(self._exports(stages, locations))
        self.report.add_all(name_problems(stages, locations))
        self.report.findings.extend(duplicates(metrics))
        claims = tuple(self._claims(keys, stages, locations, root)) if self.is_whole else ()
        self.report.findings.extend(clashes(claims))
        if keys is None or self.report.findings:
            raise merged(self.report.findings)
        stem = PurePath(self.source.file).stem
        name = keys.name or (stem if is_name(stem) else DEFAULT_NAME)
        redactor = Redactor(self.conditions.context.given)
        kept, stall_seconds = keys.dead_letters, keys.stall_after
        return Config(
            name, keys.listen, stages, metrics, self.source, self.name_span, redactor, jobs, kept, stall_seconds, claims
        )

    def _claims(
        self,
        keys: PipelineKeys | None,
        stages: Sequence[ConfiguredStage],
        locations: Mapping[str, LocatedNode],
        root: LocatedNode,
    ) -> Iterator[Claim]:
        """Yield the addresses on which the run and its stages listen."""
        if keys is not None and keys.listen is not None:
            yield run_claim(keys.listen.address, root, self.name_span, self.source)
        yield from stage_claims(
            {stage.name: (stage.type.name, stage.options) for stage in stages}, locations, self.source
        )


def without_extras(tree: MapNode) -> MapNode:
    """Return a config without its keys that begin with `x-`; variables in them may be unset."""
    return replace(tree, entries={key: entry for key, entry in tree.entries.items() if not key.startswith(_EXTRA)})


def pruned(tree: MapNode, keys: Collection[str]) -> MapNode:
    """Return a config with only these keys at its top, and with only the naming keys of each stage."""
    entries = {key: entry for key, entry in tree.entries.items() if key in keys}
    stages = entries.get("stages")
    if stages is not None and isinstance(stages.node, MapNode):
        named = {name: _named(entry) for name, entry in stages.node.entries.items()}
        entries["stages"] = replace(stages, node=replace(stages.node, entries=named))
    return replace(tree, entries=entries)


def _named(entry: MapEntry) -> MapEntry:
    if not isinstance(entry.node, MapNode):
        return entry
    kept = {key: below for key, below in entry.node.entries.items() if key in _NAMING}
    return replace(entry, node=replace(entry.node, entries=kept))


def _node(
    name: str,
    found: LocatedNode,
    stage_type: LoadedType,
    options: BaseModel | None,
    example: type[Stage] | Stage | None,
) -> ConfigNode:
    """Return a stage as a node of the graph, with all that its options and an example of it tell."""
    return ConfigNode(
        name,
        found,
        stage_type.kind,
        stage_type.name,
        _outputs(example),
        () if example is None else tuple(example.side_outputs),
        stage_type.stage.outputs_with,
        max_retained=0 if example is None else example.max_retained,
        has_waiting_sender=options is not None and stage_type.declares.has_waiting_sender(options),
    )


def _outputs(stage: type[Stage] | Stage | None) -> tuple[str, ...] | None:
    """Return the names of a stage's outputs; None where wrong options may decide them."""
    if stage is None:
        return None
    names = tuple(stage.outputs)
    return names if names or isinstance(stage, Stage) or issubclass(stage, Producer) else None


def _regex(type_node: LocatedNode | None) -> Regex:
    """Return the engine for the patterns of the config, also where other keys at the top are wrong."""
    is_python = type_node is not None and isinstance(type_node.node, ScalarNode) and type_node.node.text == "python"
    return "python" if is_python else "re2"


def _part(found: LocatedNode, *, common: bool) -> LocatedNode:
    """Return a stage with only its common keys, or with only the keys of its type."""
    node = found.node
    entries = node.entries if isinstance(node, MapNode) else {}
    kept = {key: entry for key, entry in entries.items() if (key in COMMON_KEYS) is common}
    return LocatedNode(MapNode(node.span, kept), found.key)
