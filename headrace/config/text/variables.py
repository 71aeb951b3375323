"""`${…}` and the one redaction.

`${VAR}` · `${VAR:-default}` when it is unset or empty · `${VAR:?why}` refuses then, with a reason · `${file:path}` is a
file's text without its last line break · `$$` is a dollar. A scalar without quotes that is one `${...}` as a whole gets
its type anew from the core schema; with quotes, and inside longer text, it stays text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from headrace.config.text.findings import Problem, Report
from headrace.config.text.tree import ListNode, MapEntry, MapNode, ScalarNode, TreeNode, point, resolve

MAX_FILE_BYTES = 1024 * 1024  # a secret or a short text; more than this is the wrong file
MAX_DEPTH = 8  # of defaults inside defaults

SPELLINGS = ("${VAR}", "${VAR:-default}", "${VAR:?why}", "${file:path}", "$$ for a dollar")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE = "file:"


@dataclass(frozen=True, slots=True)
class VariableContext:
    """The variables, and the folder that `${file:...}` is relative to.

    `given` collects each value that was put in, and its spelling in the file.
    """

    environ: Mapping[str, str]
    folder: Path
    given: dict[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ResolvedText:
    """A text with its variables filled in; `is_whole` when it was one `${...}` and nothing else."""

    text: str
    is_filled: bool
    is_whole: bool


class BadVariable(Exception):
    """A `${...}` that cannot be filled in; `at` is its position in the text."""

    def __init__(self, at: int, problem: Problem) -> None:
        self.at = at
        self.problem = problem
        super().__init__(problem.message)


def fill(text: str, context: VariableContext) -> ResolvedText:
    """Return the text with every `${...}` replaced and every `$$` as one dollar. Raises `BadVariable`."""
    filler = _Filler(text, context)
    filled, _ = filler.run(0, 0, live=True)
    return ResolvedText(filled, bool(filler.ends), text.startswith("${") and filler.ends[:1] == [len(text)])


class _Filler:
    def __init__(self, text: str, context: VariableContext) -> None:
        self.text = text
        self.context = context
        self.ends: list[int] = []

    def run(self, at: int, depth: int, *, live: bool) -> tuple[str, int]:
        """Fill from `at` to the end of the text, or to the brace of a `${...}`; unless `live`, only find the end."""
        parts: list[str] = []
        while at < len(self.text):
            sign = self.text[at]
            if sign == "}" and depth:
                return "".join(parts), at
            if self.text.startswith("$$", at):
                parts.append("$")
                at += 2
            elif self.text.startswith("${", at):
                part, at = self._variable(at, depth, live=live)
                parts.append(part)
                if not depth:
                    self.ends.append(at)
            else:
                parts.append(sign)
                at += 1
        return "".join(parts), at

    def _variable(self, start: int, depth: int, *, live: bool) -> tuple[str, int]:
        """Return the value of the `${...}` at `start`, and its end."""
        if depth >= MAX_DEPTH:
            raise BadVariable(start, Problem("bad-variable", f"defaults nest deeper than {MAX_DEPTH} levels"))
        if self.text.startswith(_FILE, start + 2):
            path, end = self.run(start + 2 + len(_FILE), depth + 1, live=live)
            end = self._closed(start, end)
            return (self._gave(self._file(start, path), self.text[start:end]) if live else ""), end
        name = _NAME.match(self.text, start + 2)
        if name is None:
            raise self._misspelt(start)
        value = self.context.environ.get(name[0])
        if live and value:
            self._gave(value, f"${{{name[0]}}}")
        operator = self.text[name.end() : name.end() + 2]
        if operator == ":-":
            default, end = self.run(name.end() + 2, depth + 1, live=live and not value)
            return value or default, self._closed(start, end)
        if operator == ":?":
            why, end = self.run(name.end() + 2, depth + 1, live=False)
            end = self._closed(start, end)
            why = self.text[name.end() + 2 : end - 1]
            if live and not value:
                raise self._missing(start, name[0], why)
            return value or "", end
        if operator[:1] != "}":
            raise self._misspelt(start)
        if live and value is None:
            raise self._missing(start, name[0], "")
        return value or "", name.end() + 1

    def _gave(self, value: str, written: str) -> str:
        self.context.given[value] = written
        return value

    def _closed(self, start: int, end: int) -> int:
        if end >= len(self.text):
            raise self._misspelt(start)
        return end + 1

    def _misspelt(self, start: int) -> BadVariable:
        end = self.text.find("}", start)
        found = self.text[start : end + 1] if end > 0 else self.text[start:]
        message = "the `${` is not written right" if end > 0 else "the `${` is never closed"
        return BadVariable(start, Problem("bad-variable", f"{message}; `$${{` writes it as text", found, SPELLINGS))

    def _missing(self, start: int, name: str, why: str) -> BadVariable:
        """Return the error of an unset variable; names of other variables may be shown, their values never."""
        close = get_close_matches(name, self.context.environ, n=1, cutoff=0.8)
        message = (
            f"the variable {name} is not set: {why}" if why else f"the variable {name} is not set, and has no default"
        )
        suggestion = f"${{{close[0]}}}" if close and close[0] != name else None
        return BadVariable(start, Problem("missing-variable", message, f"${{{name}}}", suggestion=suggestion))

    def _file(self, start: int, path: str) -> str:
        """Return the text of a file without its last line break; a finding shows its path only as written."""
        try:
            with (self.context.folder / path).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) <= MAX_FILE_BYTES:
                return data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
            why = f"it is larger than {MAX_FILE_BYTES // 1024**2} MiB"
        except UnicodeDecodeError:
            why = "it is not UTF-8"
        except OSError as error:
            why = (error.strerror or "it cannot be read").lower()
        except ValueError:
            why = "its path is not valid"
        raise BadVariable(start, Problem("unreadable-file", f"the file of this `${{file:...}}` cannot be used: {why}"))


def interpolate(node: TreeNode, context: VariableContext, report: Report) -> TreeNode:
    """Return the tree with variables filled in; a variable that cannot be filled in is reported, and stays."""
    if isinstance(node, ListNode):
        return ListNode(node.span, tuple(interpolate(item, context, report) for item in node.items))
    if isinstance(node, MapNode):
        entries = {
            key: MapEntry(entry.key, interpolate(entry.node, context, report)) for key, entry in node.entries.items()
        }
        return MapNode(node.span, entries)
    return _scalar(node, context, report)


def _scalar(node: ScalarNode, context: VariableContext, report: Report) -> ScalarNode:
    if "$" not in node.text:
        return node
    try:
        filled = fill(node.text, context)
    except BadVariable as bad:
        report.add(point(node, report.source.text, bad.at), bad.problem)
        return replace(node, refused=True)
    value = resolve(filled.text) if filled.is_whole and node.plain else filled.text
    return replace(node, text=filled.text, value=value, template=node.text if filled.is_filled else None)


SHORTEST: Final = 6
"""Shorter values (a port, `eu`, `true`) occur in any sentence; hiding them would hide the sentence."""


class Redactor:
    """Replaces the values of variables by their spelling in the file, as `given` has both.

    >>> Redactor({"s3cr3tvalue": "${KEY}"})("/tmp/s3cr3tvalue/x does not exist")
    '/tmp/${KEY}/x does not exist'
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        hidden = {form: written for value, written in given.items() for form in _forms(value) if len(form) >= SHORTEST}
        self._hidden = sorted(hidden.items(), key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without any of the values; the longest one is replaced first."""
        for value, written in self._hidden:
            text = text.replace(value, written)
        return text


def _forms(value: str) -> set[str]:
    """Return the spellings of a value in sentences: plain, without outer blanks, quoted, in JSON, in a URL."""
    plain = {value, value.strip(), unquote(value)}
    quoted = {repr(one)[1:-1] for one in plain} | {repr(one + "'\"")[1:-4] for one in plain}
    written = {json.dumps(one, ensure_ascii=is_ascii)[1:-1] for one in plain for is_ascii in (True, False)}
    in_urls = {how(one, safe, errors="replace") for one in plain for how in (quote, quote_plus) for safe in ("", "/")}
    return plain | quoted | written | in_urls
