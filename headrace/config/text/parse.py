"""YAML, JSON and TOML into a tree."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from headrace.config.text.findings import START, Problem, Report, TextSpan
from headrace.config.text.tree import (
    MAX_DEPTH,
    Alias,
    CloseToken,
    MapNode,
    OpenToken,
    Path,
    Plain,
    ScalarNode,
    ScalarToken,
    Token,
    assemble,
    resolve,
)

FAST_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else None

_CORE = "tag:yaml.org,2002:"
_TAGGED: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2, production 1
_VALUE_ADVICE = "a value is missing before this: write one, or put the text in quotes"
_END_ADVICE = "the config ends before this: check the brackets, the quotes and the indentation"
_LIST_ADVICE = "a list begins on a line of its own: write each `- ` there, or put the text in quotes"
_BLOCK_ADVICE = "the text begins on the next line, with nothing but a comment behind `|` or `>`"
_ESCAPE_ADVICE = "this is no escape of YAML: write a backslash twice, or use single quotes"
_ANCHOR_ADVICE = "a name is missing here: put a value that begins with & or * in quotes"
_ADVICE = (
    ("mapping values are not allowed", "a second `: ` in one line: put a value that holds `: ` in quotes"),
    ("did not find expected key", "a key is expected here: check the indentation and the quotes"),
    ("could not find expected ':'", "`:` is missing after this key"),
    ("found unexpected end of stream", "the quote that opens here is never closed"),
    ("expected <block end>", "a key is expected here: check the indentation and the quotes"),
    ("did not find expected '-' indicator", "an entry that begins with `- ` is expected here: check the indentation"),
    ("did not find expected node content", _VALUE_ADVICE),
    ("expected the node content", _VALUE_ADVICE),
    ("did not find expected <document start>", _END_ADVICE),
    ("expected '<document start>'", _END_ADVICE),
    ("found character", "no value begins with this character: put it in quotes"),
    ("block sequence entries are not allowed", _LIST_ADVICE),
    ("sequence entries are not allowed", _LIST_ADVICE),
    ("mapping keys are not allowed", "a key cannot begin here: put a value that begins with ? in quotes"),
    ("did not find expected comment or line break", _BLOCK_ADVICE),
    ("expected a comment or a line break", _BLOCK_ADVICE),
    ("expected chomping or indentation indicators", _BLOCK_ADVICE),
    ("found unknown escape character", _ESCAPE_ADVICE),
    ("found invalid Unicode character escape code", _ESCAPE_ADVICE),
    ("did not find expected hexdecimal number", _ESCAPE_ADVICE),
    ("expected escape sequence of", _ESCAPE_ADVICE),
    ("did not find expected alphabetic or numeric character", _ANCHOR_ADVICE),
    ("expected alphabetic or numeric character", _ANCHOR_ADVICE),
)
_OTHER_ADVICE = "check the indentation, or put the text in quotes"
_IN_BRACKETS = ("did not find expected ',' or", "expected ',' or")
_COMMA_ADVICE = "a comma ends a value inside brackets: put the whole expression in quotes"
_TAB_ADVICE = "a tab cannot indent YAML: use spaces"
_VARIABLE_ADVICE = "inside brackets a value with `${` must stand in quotes"


def yaml_tokens(report: Report, *, fast: bool = True) -> Iterator[Token]:
    """Yield the tokens of the report's source; raises ConfigError where the text is not YAML.

    With `fast=False`, or where PyYAML was built without libyaml, its pure Python parser does the same more slowly.
    """
    text = report.source.text
    bad = _UNPRINTABLE.search(text)
    if bad:
        problem = Problem(
            "syntax", f"the character U+{ord(bad[0]):04X} may not stand in YAML: remove it, or write an escape"
        )
        raise report.failure(TextSpan(*bad.span()), problem)
    loader = FAST_LOADER if fast and FAST_LOADER is not None else yaml.SafeLoader
    trouble: yaml.YAMLError
    try:
        yield from _tokens(yaml.parse(text, Loader=loader), report)
        return
    except yaml.YAMLError as error:
        trouble = error
    raise report.failure(*_syntax(trouble, text))


def _tokens(events: Iterator[Event], report: Report) -> Iterator[Token]:
    documents = 0
    for event in events:
        span = _span(event)
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                problem = Problem("several-documents", "a second document begins here: one file is one config")
                raise report.failure(span, problem)
        elif isinstance(event, ScalarEvent):
            yield ScalarToken(_scalar(event, span, report), event.anchor)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            is_map = isinstance(event, MappingStartEvent)
            if event.tag not in {None, "!", f"{_CORE}{'map' if is_map else 'seq'}"}:
                report.add(span, _unknown_tag(event.tag))
            yield OpenToken(span.start, is_map=is_map, anchor=event.anchor)
        elif isinstance(event, CollectionEndEvent):
            yield CloseToken(span.end)
        elif isinstance(event, AliasEvent):
            yield Alias(event.anchor or "", span)


def _span(event: Event) -> TextSpan:
    start, end = event.start_mark, event.end_mark
    return TextSpan(start.index, end.index) if start and end else START


def _scalar(event: ScalarEvent, span: TextSpan, report: Report) -> ScalarNode:
    text: str = event.value
    if event.tag is None or event.tag in {"!", f"{_CORE}str"}:
        plain = event.tag is None and event.style in {None, ""}
        return ScalarNode(span, text, plain, resolve(text) if plain else text)
    value: Plain = resolve(text)
    kind = event.tag.removeprefix(_CORE)
    if not event.tag.startswith(_CORE) or kind not in _TAGGED:
        report.add(span, _unknown_tag(event.tag))
    elif not isinstance(value, _TAGGED[kind]) or (isinstance(value, bool) and kind != "bool"):
        report.add(span, Problem("bad-value", f"what is tagged !!{kind} must be one", found=text))
    return ScalarNode(span, text, plain=True, value=value)


def _unknown_tag(tag: str) -> Problem:
    shown = tag.replace(_CORE, "!!")
    return Problem("unknown-tag", f"the tag {shown} has no meaning here: remove it", found=shown)


def _syntax(error: yaml.YAMLError, text: str) -> tuple[TextSpan, Problem]:
    """Return the place and the sentence for an error of PyYAML."""
    marked = error if isinstance(error, yaml.MarkedYAMLError) else yaml.MarkedYAMLError()
    problem = str(marked.problem or "the text is not YAML")
    context = str(marked.context or "")
    position = marked.problem_mark
    if position is None or ("scanning a quoted scalar" in context and "end of stream" in problem):
        position = marked.context_mark or position
    at = min(position.index if position else 0, len(text.rstrip()))
    if "cannot start any token" in problem and text[at : at + 1] == "\t":
        return TextSpan(at, at + 1), Problem("syntax", _TAB_ADVICE)
    if at and text.startswith("${", at - 1):
        return TextSpan(at - 1, at + 1), Problem("syntax", _VARIABLE_ADVICE)
    if problem.startswith(_IN_BRACKETS):
        return TextSpan(at, at + 1), Problem("syntax", _bracket_advice(marked, text, at))
    advice = next((advice for message, advice in _ADVICE if problem.startswith(message)), f"{problem}: {_OTHER_ADVICE}")
    return TextSpan(at, at + 1), Problem("syntax", advice)


def _bracket_advice(error: yaml.MarkedYAMLError, text: str, at: int) -> str:
    """Return the place of the bracket that is not closed, or the advice to quote an expression in brackets."""
    position = error.context_mark
    if position is None:
        return "the list or mapping in brackets is not closed, or a comma is missing"
    inside = _QUOTED.sub("", text[position.index : at])
    if inside.count("(") > inside.count(")"):
        return _COMMA_ADVICE
    opening = text[position.index : position.index + 1]
    return (
        f"the `{opening}` opened in line {position.line + 1}, column {position.column + 1}, is not closed, "
        "or a comma is missing before this"
    )


_TOKEN = re.compile(r'[{}\[\]]|"|[-+.\w]+')


def json_tokens(report: Report) -> Iterator[Token]:
    """Yield the tokens of the report's source; raises ConfigError where the text is not JSON."""
    text = report.source.text
    if not text.strip():
        return
    refused = _checked(text)
    if refused is not None:
        raise report.failure(*refused)
    decoder = json.JSONDecoder()
    at = 0
    while token := _TOKEN.search(text, at):
        at = token.end()
        sign = token[0]
        if sign in "{[":
            yield OpenToken(token.start(), is_map=sign == "{")
        elif sign in "}]":
            yield CloseToken(at)
        elif sign == '"':
            value, at = decoder.raw_decode(text, token.start())
            yield ScalarToken(ScalarNode(TextSpan(token.start(), at), value, plain=False, value=value))
        else:
            yield ScalarToken(ScalarNode(TextSpan(token.start(), at), sign, plain=True, value=resolve(sign)))


def _checked(text: str) -> tuple[TextSpan, Problem] | None:
    """Return the problem of a text that is not JSON."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        message = error.msg[0].lower() + error.msg[1:]
        return TextSpan(error.pos, error.pos + 1), Problem("syntax", f"the text is not JSON: {message}")
    except RecursionError:
        return START, Problem("too-large", "the config nests deeper than any config needs to")
    except _ConstantError as error:
        return START, Problem("syntax", f"the text is not JSON: {error} is not a number of JSON")
    return None


class _ConstantError(ValueError):
    """A NaN or Infinity: Python reads them, JSON has none."""


def _no_constant(name: str) -> object:
    raise _ConstantError(name)


_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_TOML_LINE = re.compile(
    rf"^[ \t]*(?P<array>\[\[)?(?P<table>\[)?[ \t]*(?P<key>{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*)[ \t]*[\]=][^\n]*",
    re.MULTILINE,
)


def toml_tokens(report: Report) -> Iterator[Token]:
    """Yield the tokens of the report's source; raises ConfigError where the text is not TOML.

    tomllib tells no positions: a value has the line of its key, and values inside brackets have that of their list.
    """
    text = report.source.text
    if not text.strip():
        return
    values = _parsed(text, report.source.starts)
    if isinstance(values, tuple):
        raise report.failure(*values)
    yield from _toml_tokens(values, (), START, _toml_lines(text), report)


def _parsed(text: str, starts: tuple[int, ...]) -> dict[str, object] | tuple[TextSpan, Problem]:
    """Return the values; or a place and a problem where the text is not TOML."""
    from tomllib import loads

    try:
        return loads(text)
    except RecursionError:
        return START, Problem("too-large", f"the config nests deeper than {MAX_DEPTH} levels")
    except ValueError as error:
        message = str(error)
        at = _AT.search(message)
        offset = starts[int(at[1]) - 1] + int(at[2]) - 1 if at and at[1] else len(text.rstrip()) if at else 0
        message = message[: at.start()] if at else message
        return TextSpan(offset, offset + 1), Problem(
            "syntax", f"the text is not TOML: {message[:1].lower()}{message[1:]}"
        )


def _toml_lines(text: str) -> Mapping[Path, TextSpan]:
    """Return the line of each key and table of a text, by its path."""
    lines: dict[Path, TextSpan] = {}
    last_items: dict[Path, int] = {}
    table: Path = ()
    for line in _TOML_LINE.finditer(text):
        is_header = line["array"] or line["table"]
        path = () if is_header else table
        span = TextSpan(line.start("key"), line.end())
        for step in _steps(line["key"]):
            path = (*path, step)
            lines.setdefault(path, span)
            path = (*path, last_items[path]) if path in last_items and not line["array"] else path
        if line["array"]:
            last_items[path] = last_items.get(path, -1) + 1
            path = (*path, last_items[path])
            lines[path] = span
        table = path if is_header else table
    return lines


def _steps(dotted: str) -> Iterator[str]:
    """Yield the parts of a dotted key, without quotes."""
    from tomllib import loads

    below: object = loads(f"{dotted} = 0")
    while isinstance(below, dict):
        (step,) = below
        yield step
        below = below[step]


def _toml_tokens(
    value: object, path: Path, above: TextSpan, lines: Mapping[Path, TextSpan], report: Report
) -> Iterator[Token]:
    span = lines.get(path, above)
    if len(path) > MAX_DEPTH:
        raise report.failure(span, Problem("too-large", f"the config nests deeper than {MAX_DEPTH} levels"))
    if isinstance(value, dict):
        yield OpenToken(span.start, is_map=True)
        for key, below in value.items():
            yield ScalarToken(ScalarNode(lines.get((*path, key), span), key, plain=False, value=key))
            yield from _toml_tokens(below, (*path, key), span, lines, report)
        yield CloseToken(span.end)
    elif isinstance(value, list):
        yield OpenToken(span.start, is_map=False)
        for index, below in enumerate(value):
            yield from _toml_tokens(below, (*path, index), span, lines, report)
        yield CloseToken(span.end)
    else:
        plain = value if isinstance(value, str | int | float) else str(value)
        yield ScalarToken(ScalarNode(span, str(value), plain=False, value=plain, written=json.dumps(plain)))


def load(report: Report) -> MapNode:
    """Return the tree of the report's source; findings that leave a usable tree are only added to the report.

    Raises `ConfigError` when there is no tree: the text does not parse, is empty, too large, or not a mapping.
    """
    suffix = PurePath(report.source.file).suffix.lower()
    tokens = {".json": json_tokens, ".toml": toml_tokens}.get(suffix, yaml_tokens)
    root = assemble(tokens(report), report)
    if isinstance(root, MapNode):
        return root
    if root is None or (isinstance(root, ScalarNode) and not root.text):
        raise report.failure(START, Problem("empty", "the file holds no config: it needs at least `stages:`"))
    problem = Problem("bad-value", "a config is a mapping: it begins with keys like `name:` and `stages:`")
    raise report.failure(root.span, problem)
