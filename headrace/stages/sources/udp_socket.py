"""Binds a UDP socket, or says in one sentence why it cannot be had."""

import asyncio
import errno
import os
import socket
from collections.abc import Mapping
from typing import Final

from headrace.stages.address import Address
from headrace.stages.errors import CannotOpen

RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Asked of the kernel, which holds this much of a burst, or less; what it has no room for, nobody sees."""

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
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        bound.setblocking(False)
        bound.bind(place)
    except OSError as error:
        bound.close()
        other = (f"cannot be listened on ({os.strerror(error.errno or 0)})", CHOOSE_ANOTHER)
        raise CannotOpen(called, *_REASONS.get(error.errno or 0, other)) from None
    return bound


def _is_not_version_4(place: tuple[object, ...]) -> bool:
    """A name such as localhost stands for addresses of both versions, and most StatsD clients send to the older one."""
    return place[0] is not socket.AF_INET
