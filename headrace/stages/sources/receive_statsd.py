"""Receives StatsD samples by UDP, and counts the datagrams that the kernel drops."""

import asyncio
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from pydantic import Field
from typing_extensions import override

from headrace.clock import utc_now
from headrace.http.address import Address
from headrace.pipeline.stage.producer import PUSH_BUFFER_BYTES, Producer
from headrace.stages.errors import CannotOpen
from headrace.stages.options import AddressField, Options, StageType
from headrace.stages.statsd import GAUGE, GAUGES_LIMIT, BadSample, Gauges, StatsdSample, parse_packet
from headrace.telemetry.events import LOG

RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""The requested size of the kernel's receive buffer, limited by `net.core.rmem_max`; it drops datagrams beyond it.

The kernel doubles it, and counts at least 768 bytes for a datagram: about 11,000 datagrams.
"""

_SO_RCVBUFFORCE: Final = 33
"""Linux: SO_RCVBUF without the limit of `net.core.rmem_max`, for privileged processes."""

_SO_MEMINFO: Final = 55
"""Linux from 4.12: nine numbers about a socket's memory; the last one counts dropped datagrams."""

_MEMINFO: Final = struct.Struct("9I")

CHOOSE_ANOTHER: Final = "choose another in `listen`"

_REASONS: Final[Mapping[int, tuple[str, str]]] = {
    errno.EADDRINUSE: ("is taken by another program", f"stop that one, or {CHOOSE_ANOTHER}"),
    errno.EADDRNOTAVAIL: ("is no address of this machine", CHOOSE_ANOTHER),
    errno.EACCES: ("is a port for which you have no right", "choose one above 1023"),
}


async def bind_udp(address: Address) -> socket.socket:
    """Return a non-blocking socket bound to `address`. Raises `CannotOpen`."""
    called = f"{address} (UDP)"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except OSError:
        raise CannotOpen(called, "has a name that is not known", CHOOSE_ANOTHER) from None
    family, kind, protocol, _, sockaddr = min(found, key=_is_not_version_4)
    bound = socket.socket(family, kind, protocol)
    try:
        _ask_for_room(bound)
        bound.setblocking(False)
        bound.bind(sockaddr)
    except OSError as error:
        bound.close()
        other = (f"cannot be listened on ({os.strerror(error.errno or 0)})", CHOOSE_ANOTHER)
        raise CannotOpen(called, *_REASONS.get(error.errno or 0, other)) from None
    return bound


def close_to_others(bound: socket.socket) -> None:
    """Receive no further datagrams; datagrams in the socket can still be read."""
    with suppress(OSError):
        bound.connect(bound.getsockname())  # from now on it receives only its own datagrams


def count_dropped(bound: socket.socket) -> int | None:
    """Return how many datagrams the kernel dropped because the buffer was full, modulo 2**32; None except on Linux."""
    if sys.platform != "linux":
        return None
    try:
        return int(_MEMINFO.unpack(bound.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size))[-1])
    except (OSError, struct.error):
        return None


def _ask_for_room(bound: socket.socket) -> None:
    if sys.platform == "linux":
        with suppress(PermissionError):
            bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            return
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def _is_not_version_4(sockaddr: tuple[object, ...]) -> bool:
    """Sorts IPv4 first: localhost has addresses of both versions, and most StatsD clients send to IPv4."""
    return sockaddr[0] is not socket.AF_INET


DEFAULT_ADDRESS: Final = Address("127.0.0.1", 8125)
"""The default address of StatsD clients."""

PACKET_BYTES: Final = 65_536
"""More than the longest UDP packet."""

PACKETS_AT_ONCE: Final = 100
"""The most packets read in one iteration of the loop, which takes about a millisecond."""

LAST_ROUNDS: Final = 200
"""The most reads when a drain begins: enough for all packets in the kernel, and bounded when more arrive."""

SHOWN_BYTES: Final = 80
"""The most bytes of a bad line in a message."""


class ReceiveStatsdOptions(Options):
    """Where to listen."""

    listen: AddressField = Field(
        default=DEFAULT_ADDRESS, description="The host:port to listen on, by UDP; port 0 lets the system choose."
    )


class ReceiveStatsd(Producer[object], StageType):
    """Emits a dict for each sample: `{name, type, value, rate, tags, at}`.

    `type` is StatsD's code: c, g, ms, h, s, or DogStatsD's d. `value` is a number, or text for a set. A counter is
    already divided by its sample `rate`. A gauge has its current value: `+2` and `-2` are added to it. `tags` is a
    dict; a tag without a value has an empty text. `at` is the time of arrival, UTC, ISO 8601. Samples without demand
    are buffered, and clients never wait. With `when_full: block` a full buffer leaves packets in the kernel, which
    drops them when its own buffer is full. On Linux dropped packets are counted.
    """

    Options = ReceiveStatsdOptions
    buffer_bytes = PUSH_BUFFER_BYTES
    known_discards = ("invalid",)
    known_losses = ("datagrams",)

    def __init__(self, options: ReceiveStatsdOptions, clock: Callable[[], datetime] = utc_now) -> None:
        self._listen = options.listen
        self._clock = clock
        self._gauges = Gauges()
        self._socket: socket.socket | None = None
        self._has_refused = False
        self._dropped = 0
        self._loop: asyncio.AbstractEventLoop
        self.port = 0
        """The port, once it listens."""

    @override
    async def init(self) -> None:
        self._socket = await bind_udp(self._listen)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._receive)
        self.port = self._socket.getsockname()[1]
        LOG.info("stage %r listens for StatsD on %s (UDP)", self.name, Address(self._listen.host, self.port))
        if count_dropped(self._socket) is None:
            LOG.info("stage %r cannot tell which datagrams the kernel drops: this system does not say", self.name)

    @override
    def handle_demand(self, demand: int) -> list[object]:
        return []

    @override
    def handle_room(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._receive)

    @override
    def handle_drain(self) -> None:
        if self._socket is not None:
            close_to_others(self._socket)
        for _ in range(LAST_ROUNDS):
            if not self._receive():
                break
        self._close()

    @override
    def terminate(self, reason: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._count_dropped(self._socket)
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _receive(self) -> bool:
        """Emit the samples of some packets; return whether more packets may be ready."""
        if self._socket is not None:
            self._count_dropped(self._socket)
        at = self._clock().astimezone(UTC).isoformat(timespec="milliseconds")
        at_once = 1 if self.waits_when_full else PACKETS_AT_ONCE
        for _ in range(PACKETS_AT_ONCE // at_once):
            if self.is_full():
                self._wait()
                return False
            if self._emit_some(at_once, at) < at_once:
                return False
        return True

    def _count_dropped(self, bound: socket.socket) -> None:
        """Count the packets that the kernel dropped since the last call, and log the first time."""
        dropped = count_dropped(bound)
        if dropped is None or dropped == self._dropped:
            return
        if not self._dropped:
            LOG.error(
                "stage %r loses datagrams: the kernel has no room for more (later ones are only counted); raise "
                "net.core.rmem_max, or have the clients send less, say several metrics in each datagram",
                self.name,
            )
        self.count_loss((dropped - self._dropped) % 2**32, "datagrams")
        self._dropped = dropped

    def _emit_some(self, most: int, at: str) -> int:
        """Emit the samples of at most `most` packets; return the number of packets read."""
        events: list[object] = []
        packets = 0
        while packets < most and (packet := self._packet()) is not None:
            packets += 1
            events.extend(self._events(packet, at))
        if events:
            self.emit_nowait(events)
        return packets

    def _wait(self) -> None:
        """Leave packets in the kernel until there is room."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)

    def _packet(self) -> bytes | None:
        """Return the next packet that has arrived, or None."""
        if self._socket is None:
            return None
        try:
            return self._socket.recv(PACKET_BYTES)
        except BlockingIOError:
            return None

    def _events(self, packet: bytes, at: str) -> Iterator[object]:
        for sample in parse_packet(packet):
            if isinstance(sample, BadSample):
                self._refuse(f"a packet that is not a StatsD metric: {sample.line[:SHOWN_BYTES]!r}: {sample.why}")
                continue
            value = self._value(sample)
            if value is None:
                self._refuse(f"a change of gauge {sample.name!r}: only {GAUGES_LIMIT:,} gauges are remembered")
                continue
            yield {
                "name": sample.name,
                "type": sample.type,
                "value": value,
                "rate": sample.rate,
                "tags": sample.tags,
                "at": at,
            }

    def _value(self, sample: StatsdSample) -> float | str | None:
        """Return the value to emit; None for a change to a gauge without a known value."""
        if sample.type != GAUGE or isinstance(sample.value, str):
            return sample.value
        if sample.is_relative:
            return self._gauges.change(sample.name, sample.tags, sample.value)
        return self._gauges.set(sample.name, sample.tags, sample.value)

    def _refuse(self, what: str) -> None:
        self.discard(1, "invalid")
        if not self._has_refused:
            self._has_refused = True
            LOG.warning("stage %r drops %s (later ones are counted, not logged)", self.name, what)
