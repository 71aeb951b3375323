"""Whom a listener answers: what a Host header names, and whether the token is shown."""

import socket
from collections.abc import Iterable
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from headrace.http.address import Address

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def own_hosts(address: Address) -> frozenset[str]:
    """Return the names by which a listener at `address` may be called."""
    return _LOCAL_NAMES | {plain_host(address.host), socket.gethostname().lower()}


def shows_token(authorization: str, token: bytes) -> bool:
    """Tell whether an Authorization header, empty where there is none, shows the token as a bearer's."""
    scheme, _, shown = authorization.partition(" ")
    return scheme.lower() == "bearer" and compare_digest(shown.strip(" \t").encode("latin-1"), token)


def host_name(headers: Iterable[str]) -> str | None:
    """Return the name in a request's one Host header, without its port; None when it is none.

    >>> host_name(["[::1]:9470"])
    '::1'
    >>> host_name(["Shop.example"])
    'shop.example'
    >>> host_name(["a@b"])
    """
    found = list(headers)
    if len(found) != 1 or any(sign.isspace() or sign in "/?#@" for sign in found[0]):
        return None
    try:
        name = urlsplit(f"//{found[0]}").hostname
    except ValueError:
        return None
    return plain_host(name) if name else None


def plain_host(name: str) -> str:
    """Write one address one way: small letters, IPv6 in its short form."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()
