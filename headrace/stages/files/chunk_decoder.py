"""Makes events of the bytes of files: lines, then what they hold, with the number of each line that is refused."""

from collections.abc import Sequence
from typing import Literal

from headrace.stages.files.chunks import Chunk
from headrace.stages.files.csv_decoder import CsvDecoder
from headrace.stages.files.decoded import Decoded, LineDecoder
from headrace.stages.files.json_decoder import JsonDecoder
from headrace.stages.files.line_splitter import Line, LineSplitter
from headrace.stages.files.text_decoder import TextDecoder

DecodeName = Literal["json", "csv", "text"]


def line_decoder(decode: DecodeName, max_line_bytes: int, delimiter: str, columns: Sequence[str]) -> LineDecoder:
    """Return what makes events of lines; `delimiter` and `columns` are those of CSV."""
    match decode:
        case "json":
            return JsonDecoder()
        case "csv":
            return CsvDecoder(max_line_bytes, delimiter, columns)
        case "text":
            return TextDecoder()


class ChunkDecoder:
    """Decodes the chunks of one file after another; holds at most one line, or record of CSV, that has not ended."""

    def __init__(self, decoder: LineDecoder, max_line_bytes: int) -> None:
        self._splitter = LineSplitter(max_line_bytes)
        self._decoder = decoder
        self._number = 1

    @property
    def has_rest(self) -> bool:
        """Whether a line has begun and not ended."""
        return self._splitter.has_rest

    @property
    def rest_bytes(self) -> int:
        """How many bytes the line has so far that has begun and not ended."""
        return self._splitter.rest_bytes

    def decode(self, chunk: Chunk) -> Decoded:
        """Return what comes of a chunk; line numbers begin anew behind a file's last one. Never raises."""
        if not chunk.is_last:
            return self._decode(self._splitter.split(chunk.data))
        decoded = self._decode(self._splitter.end())
        decoded.add(self._decoder.end())
        self._number = 1
        return decoded

    def _decode(self, lines: list[Line]) -> Decoded:
        first_number = self._number
        self._number += len(lines)
        return self._decoder.decode(lines, first_number)
