"""Addresses a listener binds to, as `host:port`."""

from dataclasses import dataclass
from ipaddress import ip_address

MAX_PORT = 65535

MIN_TOKEN_LENGTH = 16
"""Characters of a token where others reach the address: as many hexadecimal digits hold 64 bits."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; port 0 lets the operating system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; a name other than localhost may be anything."""
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
    """Whether this would be an address if its port were smaller.

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
