"""The addresses on which a run and its stages listen, and those that two of them claim."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from headrace.config.text.findings import Fault, Finding, Source, Span
from headrace.config.text.tree import Found, child
from headrace.http.address import Address

_UDP: Final = frozenset({"receive_statsd"})
"""Stage types that listen by UDP, where TCP's ports are none of theirs."""

_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing is bound here

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Claim:
    """An address on which something listens, and where its file says so; `is_default` where it does not."""

    owner: str
    is_udp: bool
    address: Address
    source: Source
    span: Span
    is_default: bool = False

    def meets(self, other: "Claim") -> bool:
        """Tell whether the two cannot listen at the same time."""
        mine, its = self.address, other.address
        if self.is_udp != other.is_udp or mine.port != its.port or mine.port == 0:
            return False
        hosts = {mine.host, its.host}
        return len(hosts) == 1 or bool(hosts & _ANY) or hosts <= _LOOPBACK

    def written(self) -> str:
        """Return the address as its file has it: a variable may hold it."""
        return str(self.address) if self.is_default else self.source.written(self.span)


def run_claim(address: Address, root: Found, name: Span, source: Source) -> Claim:
    """Return the address of a run's own listener; `name` is the place of one that its file does not say."""
    found = child(root, "listen")
    if found is None:
        return Claim("the run", False, address, source, name, is_default=True)
    place = child(found, "address") or found
    return Claim("the run", False, address, source, place.node.span)


def stage_claims(
    options: Mapping[str, tuple[str, BaseModel]], places: Mapping[str, Found], source: Source
) -> Iterator[Claim]:
    """Yield the addresses of stages, each of which has a type and its options."""
    for name, (type_name, model) in options.items():
        address = getattr(model, "listen", None)
        if isinstance(address, Address):
            place = child(places[name], "listen")
            span = places[name].name if place is None else place.node.span
            yield Claim(f"the stage {name}", type_name in _UDP, address, source, span, is_default=place is None)


def clashes(claims: Iterable[Claim]) -> Iterator[Finding]:
    """Yield a finding for each address that something before it, in any of the files, listens on."""
    before: list[Claim] = []
    for claim in claims:
        first = next((other for other in before if claim.meets(other)), None)
        if first is not None:
            yield claim.source.finding(claim.span, _fault(claim, first))
        before.append(claim)


def _fault(claim: Claim, first: Claim) -> Fault:
    line, _ = first.source.place(first.span)
    where = f"{first.source.file}, line {line}" if first.source.file != claim.source.file else f"line {line}"
    default = " (the default: it has no `listen:`)" if first.is_default else ""
    taken = f"{first.owner} of {where} listens on {first.written()}{default}"
    if claim.is_default:
        message = f"{claim.owner} has no `listen:`, and so listens on {claim.address}, but {taken}"
    else:
        message = f"two cannot listen on one port: {taken}"
    off = ", or `listen: off`" if claim.owner == "the run" else ""
    found = None if claim.is_default else claim.written()
    return Fault("duplicate-address", f"{message}; choose another port in `listen:`{off}", found)
