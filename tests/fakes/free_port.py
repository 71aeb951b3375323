"""A port for what is told its port by a config."""

import socket


def free_port() -> int:
    """Return a TCP port on which nothing listens now."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])
