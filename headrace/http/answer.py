"""What a request is answered with: a status, and a sentence that says why."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

CLOSE: Final = ("connection", "close")
"""The header that says that the connection closes behind an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the sentence under it, and headers beside those that every answer has; names in small letters."""

    status: int
    text: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def reason(self) -> str:
        """The status' own words."""
        return HTTPStatus(self.status).phrase

    @property
    def body(self) -> bytes:
        """The sentence, or else the status' own words, as a line of text."""
        return f"{self.text or self.reason}\n".encode()


def later(status: int, text: str, seconds: int = 1) -> Answer:
    """Return an answer that asks to be tried again in some seconds."""
    return Answer(status, text, (("retry-after", str(seconds)),))
