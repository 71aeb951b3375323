"""What is wrong with a config: each finding with its place, its code, and what to do about it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from unicodedata import combining, east_asian_width

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
    "duplicate-key": "a key stands twice in one mapping",
    "bad-key": "a key is not text",
    "missing-key": "a key that must be there is not",
    "unknown-key": "a key that nobody reads",
    "misplaced-key": "a key that means nothing for this kind of stage",
    "bad-value": "a value of the wrong type, or out of range",
    "bad-expression": "an expression that does not parse, or uses what expressions may not",
    "bad-import": "a Python function, or a module of workers, that cannot be imported",
    "unknown-worker": "a worker that no listed module has",
    "bad-arguments": "a worker is to be called with what does not fit it",
    "missing-variable": "a `${VAR}` that is not set and has no default",
    "bad-variable": "a `${...}` that is not written right",
    "token-needed": "an address that others can reach, without a token",
    "unknown-type": "a stage type that is not installed",
    "broken-type": "a stage type that is installed and cannot be loaded",
    "unknown-stage": "a subscription to a stage that is not in the file",
    "not-a-producer": "a subscription to a stage that only consumes",
    "duplicate-subscription": "a stage subscribes twice to the same stage",
    "nobody-subscribes": "a stage that emits, or a partition of one, that no stage takes in a config that runs alone",
    "waits-for-ever": "a stage gathers events, each of which somebody waits for before the next is sent",
    "circle": "stages that subscribe to each other in a circle",
    "duplicate-metric": "two metrics need one name",
    "bad-metric": "a metric name that Prometheus or headrace does not allow",
    "duplicate-address": "two that run at once listen on one port",
    "duplicate-name": "two files describe pipelines of one name",
}
"""Every code that a finding may carry, and what it means. Codes are stable: scripts may rely on them."""

MOST_SHOWN = 100
"""Findings that are printed; --json has all."""

_WIDTH = 110  # columns of source shown; longer lines are cut around the place
_ALLOWED_SHOWN = 20  # words; the JSON form has all of them
_ROOM_BEFORE = 60  # columns kept before the place when a line is cut


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, before anybody knows where: `message` is one sentence, `allowed` what may stand there."""

    code: str
    message: str
    found: str | None = None
    allowed: tuple[str, ...] = ()
    suggestion: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One fault at its place; `line` and `column` count from 1.

    `found` is what stands in the file, never what a variable holds. `excerpt` is the line of the file, `width` how many
    of its characters the fault spans.
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
        """Return what `--json` prints: the same keys for every finding, values plain."""
        return {**asdict(self), "allowed": list(self.allowed)}

    def __str__(self) -> str:
        hint = f"; did you mean `{self.suggestion}`?" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message}{hint}"

    def as_text(self) -> str:
        """Return the sentence, the line of the file with a mark under the place, and what is allowed."""
        lines = [str(self)]
        if self.excerpt.strip():
            shown, before, width = _window(self.excerpt, self.column - 1, self.width)
            gutter = f"{self.line:>6} | "
            mark = "".join("\t" if sign == "\t" else " " * _columns(sign) for sign in shown[:before])
            carets = "^" * max(1, sum(map(_columns, shown[before : before + width])))
            lines += [gutter + shown, f"{'':>6} | {mark}{carets}"]
        if self.allowed:
            more = len(self.allowed) - _ALLOWED_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            lines.append(f"{'':>6} = allowed: {', '.join(self.allowed[:_ALLOWED_SHOWN])}{rest}")
        return "\n".join(lines)


def _window(line: str, start: int, width: int) -> tuple[str, int, int]:
    """Cut a line to what fits a terminal: the text, the place in it, and the width of the mark under it."""
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
        """Return the findings for people, with their lines of the file: the first 100, and how many more there are."""
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
