"""What a request comes to, and who sends it; known where no client is installed, too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answered:
    """What the peer answered: its status, and the header Retry-After, empty without one."""

    status: int
    retry_after: str


class Sends(Protocol):
    """A pool of connections to one peer."""

    async def send(self, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> Answered:
        """Send a body; raises `PeerSilent` when there is no answer in time."""

    async def close(self) -> None:
        """Close all connections."""
