"""The text of a config, where its lines begin, and the findings that point into it."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from headrace.config.text.findings import ConfigError, Fault, Finding

MAX_BYTES = 4 * 1024 * 1024  # a config is written by people; more than this is the wrong file
_FOUND_LENGTH = 60  # characters of the file quoted in a sentence


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text, from `start` up to but without `end`, in characters."""

    start: int
    end: int


START = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Source:
    """A text and the name it goes by in findings."""

    file: str
    text: str = field(repr=False)
    starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts, at = [0], 0
        for line in self.text.splitlines(keepends=True):
            at += len(line)
            if line.endswith(("\n", "\r")):
                starts.append(at)
        object.__setattr__(self, "starts", tuple(starts))

    def written(self, span: Span) -> str:
        """Return what stands there, as one short line."""
        text = " ".join(self.text[span.start : span.end].split())
        return text if len(text) <= _FOUND_LENGTH else text[: _FOUND_LENGTH - 1] + "…"

    def place(self, span: Span) -> tuple[int, int]:
        """Return line and column of its begin, from 1."""
        start = min(span.start, len(self.text))
        row = bisect_right(self.starts, start)
        return row, start - self.starts[row - 1] + 1

    def finding(self, span: Span, fault: Fault) -> Finding:
        """Put a fault in its place."""
        line, column = self.place(span)
        begin = self.starts[line - 1]
        after = self.starts[line] if line < len(self.starts) else len(self.text)
        excerpt = self.text[begin:after].rstrip("\r\n")
        width = max(1, min(span.end - span.start, len(excerpt) - column + 1))
        return Finding(
            file=self.file,
            line=line,
            column=column,
            code=fault.code,
            message=fault.message,
            found=fault.found,
            allowed=fault.allowed,
            suggestion=fault.suggestion,
            excerpt=excerpt,
            width=width,
        )


class Report:
    """Collects the findings of one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.findings: list[Finding] = []

    def add(self, span: Span, fault: Fault) -> None:
        """Take in one fault at its place."""
        self.findings.append(self.source.finding(span, fault))

    def refusal(self, span: Span, fault: Fault) -> ConfigError:
        """Take in a fault after which nothing more can be said, and return the error to raise."""
        self.add(span, fault)
        return merged(self.findings)


def merged(findings: Iterable[Finding]) -> ConfigError:
    """Return one error with every finding once; the files stay in the order given, places are sorted within a file."""
    once = list(dict.fromkeys(findings))
    order = {file: rank for rank, file in reversed(list(enumerate(finding.file for finding in once)))}
    return ConfigError(sorted(once, key=lambda finding: (order[finding.file], finding)))


def read(path: Path) -> Source:
    """Read a config file; raises ConfigError when it is not there, not a file, too large or not UTF-8."""
    fault, text = _read(path)
    source = Source(str(path), text)
    if fault is not None:
        raise ConfigError([source.finding(START, fault)])
    return source


def _read(path: Path) -> tuple[Fault | None, str]:
    """Return what is wrong, or the text; in one of them nothing."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            return Fault("unreadable-file", f"the file is larger than {MAX_BYTES // 1024**2} MiB: is it a config?"), ""
        return None, data.decode("utf-8-sig")
    except FileNotFoundError:
        return Fault("missing-file", "there is no such file: check the path"), ""
    except IsADirectoryError:
        return Fault("missing-file", "this is a folder, and a config is a file: name the file in it"), ""
    except UnicodeDecodeError as error:
        return Fault("unreadable-file", f"the file is not UTF-8 (byte {error.start}): save it as UTF-8"), ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "its path is not valid"
        return Fault("unreadable-file", f"the file cannot be read: {why}"), ""
