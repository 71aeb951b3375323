"""Parses `host:port`; binds sockets before anything runs."""

import errno
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from typing_extensions import override

from headrace.errors import HeadraceError

MAX_PORT = 65535

MIN_TOKEN_LENGTH = 16
"""The fewest characters of a token at an address that others can reach: 16 hexadecimal digits have 64 bits."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; port 0 lets the operating system choose."""

    host: str
    port: int

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; False for all names but localhost."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address | None:
    """Return the parts of `host:port`, or None when it is not one.

    >>> parse_address("127.0.0.1:9470")
    Address(host='127.0.0.1', port=9470)
    >>> str(parse_address("[::1]:0"))
    '[::1]:0'
    >>> parse_address("9470")
    """
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ip(host):
            return None
    elif ":" in host:
        return None
    if not host or any(sign.isspace() or sign in "/@" for sign in host):
        return None
    if not (port.isascii() and port.isdigit()) or len(port) > len(str(MAX_PORT)) or int(port) > MAX_PORT:
        return None
    return Address(host, int(port))


def has_bad_port(text: str) -> bool:
    """Tell whether this is an address except for its port, which is too large.

    >>> has_bad_port("127.0.0.1:99999"), has_bad_port("99999")
    (True, False)
    """
    host, _, port = text.rpartition(":")
    return port.isascii() and port.isdigit() and parse_address(text) is None and parse_address(f"{host}:1") is not None


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


_BACKLOG: Final = 128

_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors of an address that the machine does not have, such as ::1 without IPv6."""

_UNGUARDED: Final = "others can reach it, so it needs a token: give it one, or listen on 127.0.0.1"


class ListenFailed(HeadraceError):
    """The address cannot be bound."""

    def __init__(self, address: Address, why: str) -> None:
        self.address = address
        super().__init__(f"cannot listen on {address}: {why}")


def bind(address: Address, *, asks_token: bool) -> list[socket.socket]:
    """Return listening sockets, one for each address of the host on this machine.

    Raises ListenFailed when one cannot be bound, or when others can reach it and `asks_token` is False.
    """
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, host in _addresses(address):
            # With port 0 all sockets have the port of the first one.
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
    return list(dict.fromkeys((family, str(sockaddr[0])) for family, _, _, _, sockaddr in found))


def _bind_one(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only on sockets created with IPPROTO_TCP; without it answers may wait 40 ms.
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
