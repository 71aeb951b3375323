"""`Config`, the result of a check, with the metrics that it exports and the addresses on which it listens."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from headrace.config.check.validation import locate, typed_values
from headrace.config.keys.pipeline import DeadLettersKeys, ListenKeys, StageKeys
from headrace.config.stage_types import LoadedType
from headrace.config.text.findings import ConfigSource, Finding, Problem, TextSpan
from headrace.config.text.tree import LocatedNode, child
from headrace.config.text.variables import Redactor
from headrace.http.address import Address
from headrace.stages.options import MetricName
from headrace.telemetry.counts import FamilySpec, exported_names, is_reserved

if TYPE_CHECKING:
    from headrace.config.check.jobs import ConfiguredJobs


@dataclass(frozen=True, slots=True)
class Export:
    """One metric: its name, the stage that exports it, and its location in the file."""

    name: str
    kind: str
    stage: str
    source: ConfigSource
    found: LocatedNode

    is_shared: bool = False
    """Whether its series have the labels of the stage, so that several stages may export it."""

    def claims(self) -> frozenset[str]:
        """Return every name that the metric has in the exported text; no two metrics may share one."""
        return exported_names(self.kind, self.name)

    def may_join(self, other: "Export") -> bool:
        """Return whether this is the same metric of another stage, with the labels of its stage."""
        return self.is_shared and other.is_shared and (self.name, self.kind) == (other.name, other.kind)


def exports(
    stage: str, options: BaseModel, families: Iterable[FamilySpec], found: LocatedNode, source: ConfigSource
) -> list[Export]:
    """Return the metrics that a stage's options name, and the `families` that its class declares.

    The kind of a metric is the key that holds its name in the options.
    """
    result = []
    for path, name in typed_values(options, MetricName):
        location = locate(found, path).found
        result.append(Export(str(name), str(path[-1]) if path else "", stage, source, location))
    location = locate(found, ("type",)).found
    result += [Export(spec.name, spec.kind, stage, source, location, spec.has_stage_labels) for spec in families]
    return result


def duplicates(metrics: Iterable[Export]) -> Iterator[Finding]:
    """Yield a finding for every metric whose name another one claimed before, in any of the files."""
    claimed: dict[str, Export] = {}
    for metric in metrics:
        claims = metric.claims()
        if is_reserved(claims):
            yield _reserved(metric)
        first = next((claimed[name] for name in sorted(claims) if name in claimed), None)
        if first is not None and not metric.may_join(first):
            yield _duplicate(metric, first)
        for name in claims:
            claimed.setdefault(name, metric)


def _reserved(metric: Export) -> Finding:
    span = metric.found.node.span
    message = f"headrace itself exports a metric that needs the name {metric.name}: choose another name"
    return metric.source.finding(span, Problem("duplicate-metric", message, metric.source.written(span)))


def _duplicate(metric: Export, first: Export) -> Finding:
    span = metric.found.node.span
    written = metric.source.written(span)
    line, _ = first.source.location(first.found.node.span)
    where = f"{first.source.file}, line {line}" if first.source.file != metric.source.file else f"line {line}"
    if first.name == metric.name:
        clash = f"the stage {first.stage} exports this metric already, in {where}"
    else:
        clash = f"the stage {first.stage} exports {first.name}, in {where}, and the two need a name in common"
    message = f"{clash}: give each metric a name of its own"
    return metric.source.finding(span, Problem("duplicate-metric", message, written))


_UDP: Final = frozenset({"receive_statsd"})
"""Stage types that listen on UDP ports, which do not clash with TCP ports."""

_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing is bound here

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Claim:
    """An address on which a run or a stage listens, and its location; `is_default` if the file names no address."""

    owner: str
    is_udp: bool
    address: Address
    source: ConfigSource
    span: TextSpan
    is_default: bool = False

    def meets(self, other: "Claim") -> bool:
        """Return whether the two claims exclude each other."""
        mine, its = self.address, other.address
        if self.is_udp != other.is_udp or mine.port != its.port or mine.port == 0:
            return False
        hosts = {mine.host, its.host}
        return len(hosts) == 1 or bool(hosts & _ANY) or hosts <= _LOOPBACK

    def written(self) -> str:
        """Return the address as its file has it: a variable may hold it."""
        return str(self.address) if self.is_default else self.source.written(self.span)


def run_claim(address: Address, root: LocatedNode, name: TextSpan, source: ConfigSource) -> Claim:
    """Return the address of a run's own listener; `name` is the place of a default address."""
    found = child(root, "listen")
    if found is None:
        return Claim("the run", False, address, source, name, is_default=True)
    location = child(found, "address") or found
    return Claim("the run", False, address, source, location.node.span)


def stage_claims(
    options: Mapping[str, tuple[str, BaseModel]], locations: Mapping[str, LocatedNode], source: ConfigSource
) -> Iterator[Claim]:
    """Yield the addresses of stages, from their types and options."""
    for name, (type_name, model) in options.items():
        for address in (found for path, found in typed_values(model, Address) if path == ("listen",)):
            location = child(locations[name], "listen")
            span = locations[name].name if location is None else location.node.span
            yield Claim(f"the stage {name}", type_name in _UDP, address, source, span, is_default=location is None)


def clashes(claims: Iterable[Claim]) -> Iterator[Finding]:
    """Yield a finding for each address that another run or stage claims too, in any of the files."""
    before: list[Claim] = []
    for claim in claims:
        first = next((other for other in before if claim.meets(other)), None)
        if first is not None:
            yield claim.source.finding(claim.span, _problem(claim, first))
        before.append(claim)


def _problem(claim: Claim, first: Claim) -> Problem:
    line, _ = first.source.location(first.span)
    where = f"{first.source.file}, line {line}" if first.source.file != claim.source.file else f"line {line}"
    default = " (the default: it has no `listen:`)" if first.is_default else ""
    taken = f"{first.owner} of {where} listens on {first.written()}{default}"
    if claim.is_default:
        message = f"{claim.owner} has no `listen:`, and so listens on {claim.address}, but {taken}"
    else:
        message = f"two cannot listen on one port: {taken}"
    off = ", or `listen: off`" if claim.owner == "the run" else ""
    found = None if claim.is_default else claim.written()
    return Problem("duplicate-address", f"{message}; choose another port in `listen:`{off}", found)


@dataclass(frozen=True, slots=True)
class ConfiguredStage:
    """One stage: its type, its common keys, and its type's own options. They may hold secrets and are not shown."""

    name: str
    type: LoadedType
    keys: StageKeys = field(repr=False)
    options: BaseModel = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """The pipeline that a file describes.

    `listen` is None where the file has `off`, and `jobs` and `dead_letters` are where it has no such key;
    `stall_seconds` is None where stages never count as stalled. `source` is the text, and `name_span` the place of
    its name. `redactor` hides the values of variables.
    """

    name: str
    listen: ListenKeys | None = field(repr=False)
    stages: tuple[ConfiguredStage, ...]
    exports: tuple[Export, ...] = field(repr=False)
    source: ConfigSource = field(repr=False)
    name_span: TextSpan = field(repr=False)
    redactor: Redactor = field(repr=False)
    jobs: "ConfiguredJobs | None" = None
    dead_letters: DeadLettersKeys | None = None
    stall_seconds: float | None = None
    addresses: tuple[Claim, ...] = field(default=(), repr=False)

    @property
    def file(self) -> str:
        """The name of the file in findings."""
        return self.source.file
