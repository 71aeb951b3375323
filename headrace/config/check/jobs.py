"""Checks the block `jobs:`, and the workers that cron entries and stages name."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import BaseModel

from headrace.config.check.validation import Subject, locate, typed_values, validate
from headrace.config.keys.jobs import JobsKeys
from headrace.config.text.findings import Problem, Report
from headrace.config.text.messages import close
from headrace.config.text.tree import ListNode, LocatedNode, ScalarNode, as_written, child, scalars
from headrace.jobs.errors import BadArguments, EncryptionError, JobsError
from headrace.jobs.running.encryption import ArgsCipher
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.worker import AnyWorker
from headrace.stages.jobs import QueueName, RecordingWorkerName, WorkerName

CALLED: Final = "the block `jobs`"

_KEY_FILE: Final = '"${file:jobs.key}"'


@dataclass(frozen=True, slots=True)
class ConfiguredJobs:
    """The block `jobs:` of a file, and the workers of its modules: none where nothing was imported."""

    keys: JobsKeys = field(repr=False)
    workers: WorkerCatalogue = field(repr=False)


class JobsCheck:
    """Checks the block `jobs:`; each problem has its location."""

    def __init__(self, found: LocatedNode, report: Report, *, imports: bool) -> None:
        self._found = found
        self._report = report
        self._imports = imports
        self._keys: JobsKeys | None = None
        self._workers: WorkerCatalogue | None = None

    def run(self) -> ConfiguredJobs | None:
        """Check the block by itself; return the checked block if it has no findings."""
        keys = self._keys = validate(JobsKeys, Subject(self._found, CALLED), self._report, imports=self._imports)
        self._workers = self._imported(self._found) if self._imports else WorkerCatalogue()
        if keys is None or self._workers is None:
            return None
        if keys.queues and not keys.modules:
            message = "queues run the workers of `modules:`, and none are named: name some, or take `queues` away"
            self._at(child(self._found, "queues") or self._found, Problem("missing-key", message))
        self._cipher(keys, self._found, self._workers)
        if self._imports:
            self._cron(keys, self._found)
            for name, registry in keys.registries.items():
                self.stage(registry, locate(self._found, ("registries", name)).found)
        return ConfiguredJobs(keys, self._workers)

    def stage(self, options: BaseModel, found: LocatedNode) -> None:
        """Check the workers and queues that the options of a stage, or a registry, name."""
        for path, name in typed_values(options, WorkerName):
            location = locate(found, path).found
            worker = self._known(name, location)
            if isinstance(name, RecordingWorkerName) and worker is not None and not worker.options.record:
                message = f"the worker {self._written(location)} records no results: give it record=True"
                self._at(location, Problem("bad-value", message, self._written(location)))
        for path, queue in typed_values(options, QueueName):
            if self._keys is not None and queue in self._keys.queues:
                message = f"the block `jobs` runs the queue {queue} itself: take it out of `queues` there"
                self._at(locate(found, path).found, Problem("bad-value", message, str(queue)))

    def _imported(self, block: LocatedNode) -> WorkerCatalogue | None:
        """Import the modules and return their workers; None, and findings, where one cannot be used."""
        workers: list[AnyWorker] = []
        is_fine = True
        for name, found in _modules(child(block, "modules")):
            try:
                workers.extend(WorkerCatalogue.of_modules([name]))
            except JobsError as error:
                is_fine = False
                self._at(found, Problem("bad-import", str(error), self._written(found)))
        try:
            return WorkerCatalogue(workers) if is_fine else None
        except JobsError as error:
            self._at(child(block, "modules") or block, Problem("bad-import", str(error)))
        return None

    def _cipher(self, keys: JobsKeys, block: LocatedNode, workers: WorkerCatalogue) -> None:
        """Check the keys of encrypted args, and that there is one where a worker needs it; no key is ever shown."""
        if not keys.encryption_key and workers.encrypted:
            name = min(workers.encrypted)
            message = f"the worker {name} keeps its args encrypted: give `encryption_key:`, as in {_KEY_FILE}"
            self._at(child(block, "modules") or block, Problem("missing-key", message))
        for index, key in enumerate(keys.encryption_key):
            try:
                ArgsCipher([key.get_secret_value()])
            except EncryptionError as error:
                node = locate(block, ("encryption_key", index)).found.node
                if not (isinstance(node, ScalarNode) and node.refused):
                    self._report.add(node.span, Problem("bad-value", f"`encryption_key` is no use: {error}"))

    def _cron(self, keys: JobsKeys, block: LocatedNode) -> None:
        """Check that each entry of the crontab calls a worker with arguments that fit."""
        for index, entry in enumerate(keys.cron):
            location = locate(block, ("cron", index)).found
            worker = self._known(WorkerName(entry.worker), child(location, "worker") or location)
            if worker is None:
                continue
            try:
                worker.arguments.bound_of(entry.args)
            except BadArguments as error:
                self._at(_argument(location, error.parameter), Problem("bad-arguments", _redacted(error, location)))

    def _known(self, name: WorkerName, found: LocatedNode) -> AnyWorker | None:
        """Return the worker of that name; a name that no worker has is a finding, where modules are imported."""
        if self._workers is None or self._keys is None or not self._keys.modules or not self._imports:
            return None
        worker = self._workers.get(name)
        if worker is None:
            names = self._workers.names
            message = f"no module of `jobs.modules` has a worker {self._written(found)}"
            suggestion = close(found.node.shown if isinstance(found.node, ScalarNode) else name, names)
            self._at(found, Problem("unknown-worker", message, self._written(found), names, suggestion))
        return worker

    def _at(self, found: LocatedNode, problem: Problem) -> None:
        node = found.node
        if isinstance(node, ScalarNode) and node.filled and node.text:
            problem = replace(problem, message=problem.message.replace(node.text, self._written(found)))
        self._report.add(node.span if isinstance(node, ScalarNode) and node.text else found.name, problem)

    def _written(self, found: LocatedNode) -> str:
        return as_written(found.node, self._report.source)


def _modules(found: LocatedNode | None) -> Iterator[tuple[str, LocatedNode]]:
    if found is None:
        return
    nodes = found.node.items if isinstance(found.node, ListNode) else (found.node,)
    for node in nodes:
        if isinstance(node, ScalarNode) and not node.refused and node.text:
            yield node.text, LocatedNode(node)


def _argument(entry: LocatedNode, parameter: str | None) -> LocatedNode:
    """Return the location of an argument, or of the whole mapping of arguments."""
    args = child(entry, "args")
    below = child(args, parameter.partition(".")[0]) if args is not None and parameter is not None else None
    return below or args or entry


def _redacted(error: BadArguments, entry: LocatedNode) -> str:
    """Return the problem with arguments, without the values of variables."""
    if not any(scalar.filled for scalar in scalars(entry.node)):
        return str(error)
    about = f"the argument {error.parameter!r}" if error.parameter else "an argument"
    return f"{about} does not fit its worker; the reason is not shown, since it may reveal the value of a variable"
