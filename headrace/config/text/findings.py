"""Problems, findings, `ConfigError`, source text and locations."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from unicodedata import combining, east_asian_width

from typing_extensions import override

from headrace.errors import HeadraceError

CODES: Mapping[str, str] = {
    "missing-file": "the config file does not exist, or is a folder",
    "unreadable-file": "a file cannot be read, is not UTF-8, or is too large",
    "empty": "the file holds no config",
    "syntax": "the text is not YAML, JSON or TOML",
    "several-documents": "a file holds more than one YAML document",
    "too-large": "the config nests too deep, or its aliases expand to too much",
    "unknown-tag": "a YAML tag that the core schema does not have",
    "unknown-alias": "a YAML alias without its anchor",
    "duplicate-key": "a key occurs twice in one mapping",
    "bad-key": "a key is not text",
    "missing-key": "a required key is missing",
    "unknown-key": "a key that has no meaning",
    "misplaced-key": "a key that means nothing for this kind of stage",
    "bad-value": "a value of the wrong type, or out of range",
    "bad-expression": "an expression that does not parse, or uses what expressions may not",
    "bad-import": "a Python function, or a module of workers, that cannot be imported",
    "unknown-worker": "a worker that no listed module has",
    "bad-arguments": "arguments that do not fit their worker",
    "missing-variable": "a `${VAR}` that is not set and has no default",
    "bad-variable": "a `${...}` with a wrong spelling",
    "token-needed": "an address that others can reach, without a token",
    "unknown-type": "a stage type that is not installed",
    "broken-type": "a stage type that is installed and cannot be loaded",
    "unknown-stage": "a subscription to a stage that is not in the file",
    "not-a-producer": "a subscription to a stage that only consumes",
    "duplicate-subscription": "a stage subscribes twice to the same stage",
    "nobody-subscribes": "a stage that emits, or a partition of one, that no stage takes in a config that runs alone",
    "waits-for-ever": "a stage retains events, and each sender waits for one of them before it sends the next",
    "circle": "stages that subscribe to each other in a circle",
    "duplicate-metric": "two metrics need one name",
    "bad-metric": "a metric name that Prometheus or headrace does not allow",
    "duplicate-address": "two listeners have one port",
    "duplicate-name": "two files describe pipelines of one name",
}
"""Every code of a finding, with its meaning. Codes are stable: scripts may rely on them."""

MOST_SHOWN = 100
"""The limit of printed findings; --json has all."""

_WIDTH = 110  # columns of a source line that are shown
_ALLOWED_SHOWN = 20  # allowed values; the JSON form has all of them
_ROOM_BEFORE = 60  # columns that are shown before the place when a line is cut


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem without a location: `message` is one sentence, `allowed` the possible values."""

    code: str
    message: str
    found: str | None = None
    allowed: tuple[str, ...] = ()
    suggestion: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One problem with its location; `line` and `column` count from 1.

    `found` is the text of the file, never the value of a variable. `excerpt` is the line of the file, and `width`
    the number of its characters that the problem spans.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    found: str | None = field(default=None, compare=False)
    allowed: tuple[str, ...] = field(default=(), compare=False)
    suggestion: str | None = field(default=None, compare=False)
    excerpt: str = field(default="", compare=False)
    width: int = field(default=1, compare=False)

    def as_dict(self) -> dict[str, object]:
        """Return the finding as plain values, as `--json` prints it."""
        return {**asdict(self), "allowed": list(self.allowed)}

    @override
    def __str__(self) -> str:
        hint = f"; did you mean `{self.suggestion}`?" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message}{hint}"

    def as_text(self) -> str:
        """Return the sentence, the line of the file with carets under the place, and the allowed values."""
        lines = [str(self)]
        if self.excerpt.strip():
            shown, before, width = _window(self.excerpt, self.column - 1, self.width)
            gutter = f"{self.line:>6} | "
            padding = "".join("\t" if sign == "\t" else " " * _columns(sign) for sign in shown[:before])
            carets = "^" * max(1, sum(map(_columns, shown[before : before + width])))
            lines += [gutter + shown, f"{'':>6} | {padding}{carets}"]
        if self.allowed:
            more = len(self.allowed) - _ALLOWED_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            lines.append(f"{'':>6} = allowed: {', '.join(self.allowed[:_ALLOWED_SHOWN])}{rest}")
        return "\n".join(lines)


def _window(line: str, start: int, width: int) -> tuple[str, int, int]:
    """Cut a line to the width of a terminal; return it with the position and width of the carets under it."""
    left = max(0, start - _ROOM_BEFORE) if len(line) > _WIDTH else 0
    shown = "".join(sign if sign.isprintable() or sign == "\t" else "\ufffd" for sign in line[left : left + _WIDTH])
    return shown, start - left, max(1, min(width, len(shown) - start + left))


def _columns(sign: str) -> int:
    """Return how many columns of a terminal a character takes."""
    if combining(sign):
        return 0
    return 2 if east_asian_width(sign) in {"W", "F"} else 1


class ConfigError(HeadraceError):
    """A config that cannot be used: carries all findings, sorted by place, each once."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join([*map(str, self._shown), *self._rest()]))

    def as_text(self) -> str:
        """Return the findings for people: the first 100, with their lines of the file, and the number of the others."""
        return "\n\n".join([*(finding.as_text() for finding in self._shown), *self._rest()])

    @property
    def _shown(self) -> tuple[Finding, ...]:
        return self.findings[:MOST_SHOWN]

    def _rest(self) -> list[str]:
        more = len(self.findings) - MOST_SHOWN
        return [f"and {more:,} more findings"] if more > 0 else []

    def as_json(self) -> list[dict[str, object]]:
        """Return all findings as plain values for `json.dumps`."""
        return [finding.as_dict() for finding in self.findings]


MAX_BYTES = 4 * 1024 * 1024  # people write configs; a larger file is the wrong one
_FOUND_LENGTH = 60  # characters of the file that a sentence quotes


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A part of the text, from `start` up to but without `end`, in characters."""

    start: int
    end: int


START = TextSpan(0, 0)


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """A text, and its name in findings."""

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

    def written(self, span: TextSpan) -> str:
        """Return the text at a span, as one short line."""
        text = " ".join(self.text[span.start : span.end].split())
        return text if len(text) <= _FOUND_LENGTH else text[: _FOUND_LENGTH - 1] + "…"

    def location(self, span: TextSpan) -> tuple[int, int]:
        """Return the line and column of its start, from 1."""
        start = min(span.start, len(self.text))
        row = bisect_right(self.starts, start)
        return row, start - self.starts[row - 1] + 1

    def finding(self, span: TextSpan, problem: Problem) -> Finding:
        """Return a problem with its location."""
        line, column = self.location(span)
        begin = self.starts[line - 1]
        after = self.starts[line] if line < len(self.starts) else len(self.text)
        excerpt = self.text[begin:after].rstrip("\r\n")
        width = max(1, min(span.end - span.start, len(excerpt) - column + 1))
        return Finding(
            file=self.file,
            line=line,
            column=column,
            code=problem.code,
            message=problem.message,
            found=problem.found,
            allowed=problem.allowed,
            suggestion=problem.suggestion,
            excerpt=excerpt,
            width=width,
        )


class Report:
    """Collects the findings of one source."""

    def __init__(self, source: ConfigSource) -> None:
        self.source = source
        self.findings: list[Finding] = []

    def add(self, span: TextSpan, problem: Problem) -> None:
        """Add one problem with its location."""
        self.findings.append(self.source.finding(span, problem))

    def add_all(self, problems: Iterable[tuple[TextSpan, Problem]]) -> None:
        """Add problems, each with its location."""
        for span, problem in problems:
            self.add(span, problem)

    def failure(self, span: TextSpan, problem: Problem) -> ConfigError:
        """Add a problem that ends the check, and return the error to raise."""
        self.add(span, problem)
        return merged(self.findings)


def merged(findings: Iterable[Finding]) -> ConfigError:
    """Return one error with every finding once: files in the order given, and places sorted within a file."""
    once = list(dict.fromkeys(findings))
    order = {file: rank for rank, file in reversed(list(enumerate(finding.file for finding in once)))}
    return ConfigError(sorted(once, key=lambda finding: (order[finding.file], finding)))


def read(path: Path) -> ConfigSource:
    """Read a config file. Raises `ConfigError` when it does not exist, is no file, is too large or is not UTF-8."""
    problem, text = _read(path)
    source = ConfigSource(str(path), text)
    if problem is not None:
        raise ConfigError([source.finding(START, problem)])
    return source


def _read(path: Path) -> tuple[Problem | None, str]:
    """Return a problem or the text; the other one is empty."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            return Problem(
                "unreadable-file", f"the file is larger than {MAX_BYTES // 1024**2} MiB: is it a config?"
            ), ""
        return None, data.decode("utf-8-sig")
    except FileNotFoundError:
        return Problem("missing-file", "there is no such file: check the path"), ""
    except IsADirectoryError:
        return Problem("missing-file", "this is a folder, and a config is a file: name the file in it"), ""
    except UnicodeDecodeError as error:
        return Problem("unreadable-file", f"the file is not UTF-8 (byte {error.start}): save it as UTF-8"), ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "its path is not valid"
        return Problem("unreadable-file", f"the file cannot be read: {why}"), ""
