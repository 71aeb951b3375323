"""The listener's sockets: bound before anything runs, so that a port that cannot be had is said at once."""

import errno
import socket
from typing import Final

from headrace.errors import HeadraceError
from headrace.http.address import Address

_BACKLOG: Final = 128

_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What a machine answers about an address that it does not have, such as ::1 where IPv6 is off."""

_UNGUARDED: Final = "others can reach it, so it needs a token: give it one, or listen on 127.0.0.1"


class ListenFailed(HeadraceError):
    """The listener cannot have its address."""

    def __init__(self, address: Address, why: str) -> None:
        self.address = address
        super().__init__(f"cannot listen on {address}: {why}")


def bind(address: Address, *, asks_token: bool) -> list[socket.socket]:
    """Return listening sockets, one for each address of the host that this machine has.

    Raises ListenFailed when one cannot be had, or when others can reach it and no token is asked of them.
    """
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, host in _addresses(address):
            # With port 0 the first socket chooses for all.
            port = port_of(bound[0]) if bound else address.port
            try:
                bound.append(_bind_one(family, host, port))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
            else:
                if not asks_token and not Address(host, port).is_loopback:
                    raise ListenFailed(address, _UNGUARDED)
        if missing is not None and not bound:
            raise missing
    except OSError as error:
        _close(bound)
        raise ListenFailed(address, _why(error)) from None
    except ListenFailed:
        _close(bound)
        raise
    return bound


def port_of(bound: socket.socket) -> int:
    """Return the port of a bound socket."""
    return int(bound.getsockname()[1])


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program has that port; stop it, or choose another one with `listen:`"
    if error.errno == errno.EACCES:
        return "this user may not have that port; choose one from 1024 on with `listen:`"
    if error.errno in _NOT_HERE:
        return "this machine does not have that address; choose one of its own with `listen:`"
    return f"{error.strerror or error}; choose another address with `listen:`"


def _addresses(address: Address) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ListenFailed(
            address, f"no address is known for {address.host}; choose another one with `listen:`"
        ) from None
    return list(dict.fromkeys((family, str(place[0])) for family, _, _, _, place in found))


def _bind_one(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # Only on sockets that say TCP does asyncio send answers without waiting 40 ms for more to go with them.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        # Two sockets may be bound to one port until one of them listens.
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _close(bound: list[socket.socket]) -> None:
    for one in bound:
        one.close()
