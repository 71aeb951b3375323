"""Binds a UDP socket, or says in one sentence why it cannot be had; and asks the kernel what it has dropped."""

import asyncio
import errno
import os
import socket
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from headrace.http.address import Address
from headrace.stages.errors import CannotOpen

RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Asked of the kernel, which holds as much of a burst, or what `net.core.rmem_max` lets it, and drops the rest.

It counts twice as much, and at least 768 bytes for a datagram: some 11,000 of them.
"""

_SO_RCVBUFFORCE: Final = 33
"""Linux's: as SO_RCVBUF, beyond `net.core.rmem_max`, for those who may."""

_SO_MEMINFO: Final = 55
"""Linux's, from 4.12 on: nine numbers about a socket's memory; the last one counts the datagrams that were dropped."""

_MEMINFO: Final = struct.Struct("9I")

CHOOSE_ANOTHER: Final = "choose another in `listen`"

_REASONS: Final[Mapping[int, tuple[str, str]]] = {
    errno.EADDRINUSE: ("is taken by another program", f"stop that one, or {CHOOSE_ANOTHER}"),
    errno.EADDRNOTAVAIL: ("is no address of this machine", CHOOSE_ANOTHER),
    errno.EACCES: ("is a port for which you have no right", "choose one above 1023"),
}


async def bind_udp(address: Address) -> socket.socket:
    """Return a socket that is bound to `address` and never blocks; raises `CannotOpen`."""
    called = f"{address} (UDP)"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except OSError:
        raise CannotOpen(called, "has a name that is not known", CHOOSE_ANOTHER) from None
    family, kind, protocol, _, place = min(found, key=_is_not_version_4)
    bound = socket.socket(family, kind, protocol)
    try:
        _ask_for_room(bound)
        bound.setblocking(False)
        bound.bind(place)
    except OSError as error:
        bound.close()
        other = (f"cannot be listened on ({os.strerror(error.errno or 0)})", CHOOSE_ANOTHER)
        raise CannotOpen(called, *_REASONS.get(error.errno or 0, other)) from None
    return bound


def close_to_others(bound: socket.socket) -> None:
    """Take no further datagrams: those that have arrived can still be read."""
    with suppress(OSError):
        bound.connect(bound.getsockname())  # from now on it hears itself alone


def count_dropped(bound: socket.socket) -> int | None:
    """Return how many datagrams the kernel has dropped, for want of room; None where it does not say (not on Linux).

    The count is modulo 2**32.
    """
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


def _is_not_version_4(place: tuple[object, ...]) -> bool:
    """A name such as localhost stands for addresses of both versions, and most StatsD clients send to the older one."""
    return place[0] is not socket.AF_INET
