"""YAML into tokens: one pass of PyYAML's parser, with libyaml's speed where it is there."""

import re
from collections.abc import Iterator, Mapping

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

from headrace.config.text.assembly import Alias, Closing, Leaf, Opening, Token
from headrace.config.text.findings import Fault
from headrace.config.text.nodes import ScalarNode
from headrace.config.text.scalars import Plain, resolve
from headrace.config.text.source import START, Report, Span

FAST_LOADER = getattr(yaml, "CSafeLoader", None)

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
        fault = Fault(
            "syntax", f"the character U+{ord(bad[0]):04X} may not stand in YAML: remove it, or write an escape"
        )
        raise report.refusal(Span(*bad.span()), fault)
    loader = FAST_LOADER if fast and FAST_LOADER is not None else yaml.SafeLoader
    trouble: yaml.YAMLError
    try:
        yield from _tokens(yaml.parse(text, Loader=loader), report)
        return
    except yaml.YAMLError as error:
        trouble = error
    raise report.refusal(*_syntax(trouble, text))


def _tokens(events: Iterator[Event], report: Report) -> Iterator[Token]:
    documents = 0
    for event in events:
        span = _span(event)
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                fault = Fault("several-documents", "a second document begins here: one file is one config")
                raise report.refusal(span, fault)
        elif isinstance(event, ScalarEvent):
            yield Leaf(_scalar(event, span, report), event.anchor)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            is_map = isinstance(event, MappingStartEvent)
            if event.tag not in {None, "!", f"{_CORE}{'map' if is_map else 'seq'}"}:
                report.add(span, _unknown_tag(event.tag))
            yield Opening(span.start, is_map=is_map, anchor=event.anchor)
        elif isinstance(event, CollectionEndEvent):
            yield Closing(span.end)
        elif isinstance(event, AliasEvent):
            yield Alias(event.anchor or "", span)


def _span(event: Event) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span(start.index, end.index) if start and end else START


def _scalar(event: ScalarEvent, span: Span, report: Report) -> ScalarNode:
    text: str = event.value
    if event.tag is None or event.tag in {"!", f"{_CORE}str"}:
        plain = event.tag is None and event.style in {None, ""}
        return ScalarNode(span, text, plain, resolve(text) if plain else text)
    value: Plain = resolve(text)
    kind = event.tag.removeprefix(_CORE)
    if not event.tag.startswith(_CORE) or kind not in _TAGGED:
        report.add(span, _unknown_tag(event.tag))
    elif not isinstance(value, _TAGGED[kind]) or (isinstance(value, bool) and kind != "bool"):
        report.add(span, Fault("bad-value", f"what is tagged !!{kind} must be one", found=text))
    return ScalarNode(span, text, plain=True, value=value)


def _unknown_tag(tag: str) -> Fault:
    shown = tag.replace(_CORE, "!!")
    return Fault("unknown-tag", f"the tag {shown} has no meaning here: remove it", found=shown)


def _syntax(error: yaml.YAMLError, text: str) -> tuple[Span, Fault]:
    """Say in our words what PyYAML says, and where."""
    problem = str(getattr(error, "problem", None) or "the text is not YAML")
    context = str(getattr(error, "context", None) or "")
    mark = getattr(error, "problem_mark", None)
    if mark is None or ("scanning a quoted scalar" in context and "end of stream" in problem):
        mark = getattr(error, "context_mark", None) or mark
    at = min(mark.index if mark else 0, len(text.rstrip()))
    if "cannot start any token" in problem and text[at : at + 1] == "\t":
        return Span(at, at + 1), Fault("syntax", _TAB_ADVICE)
    if at and text.startswith("${", at - 1):
        return Span(at - 1, at + 1), Fault("syntax", _VARIABLE_ADVICE)
    if problem.startswith(_IN_BRACKETS):
        return Span(at, at + 1), Fault("syntax", _bracket_advice(error, text, at))
    advice = next((advice for said, advice in _ADVICE if problem.startswith(said)), f"{problem}: {_OTHER_ADVICE}")
    return Span(at, at + 1), Fault("syntax", advice)


def _bracket_advice(error: yaml.YAMLError, text: str, at: int) -> str:
    """Say where the brackets open that are not closed; or that an expression in them needs quotes."""
    mark = getattr(error, "context_mark", None)
    if mark is None:
        return "the list or mapping in brackets is not closed, or a comma is missing"
    inside = _QUOTED.sub("", text[mark.index : at])
    if inside.count("(") > inside.count(")"):
        return _COMMA_ADVICE
    opening = text[mark.index : mark.index + 1]
    return (
        f"the `{opening}` opened in line {mark.line + 1}, column {mark.column + 1}, is not closed, "
        "or a comma is missing before this"
    )
