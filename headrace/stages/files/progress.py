"""How far a file has been gone through: pieces are read in order, and are over in any."""

from collections import deque
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: which one (its device and number there), and how many bytes come before.

    `modified_ns` is when the file had changed last. `head_digest` stands for its first `head_bytes` bytes, which tell
    it from another file that got its number.
    """

    device: int
    inode: int
    offset: int
    modified_ns: int = 0
    head_bytes: int = 0
    head_digest: str = ""


BEGINNING: Final = Position(0, 0, 0)
"""Before the first byte of whatever file is there."""


@dataclass(slots=True, eq=False)
class Piece:
    """Some events that were read in one go; `end` is where the next piece begins."""

    end: Position
    is_over: bool = False


class Progress:
    """The pieces that are not over, oldest first. What is before the first of them need not be read again."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()

    def begin(self, end: Position) -> Piece:
        """Take note of a piece that is emitted now."""
        piece = Piece(end)
        self._pieces.append(piece)
        return piece

    def over(self, piece: Piece) -> Position | None:
        """Take note that a piece is over; return how far it is now, if that is further than before."""
        piece.is_over = True
        position = None
        while self._pieces and self._pieces[0].is_over:
            position = self._pieces.popleft().end
        return position

    def __len__(self) -> int:
        return len(self._pieces)
