"""JSON into tokens: Python's own parser judges the text, a scanner of five tokens finds the places."""

import json
import re
from collections.abc import Iterator

from headrace.config.text.assembly import Closing, Leaf, Opening, Token
from headrace.config.text.findings import Fault
from headrace.config.text.nodes import ScalarNode
from headrace.config.text.scalars import resolve
from headrace.config.text.source import START, Report, Span

_TOKEN = re.compile(r'[{}\[\]]|"|[-+.\w]+')


def json_tokens(report: Report) -> Iterator[Token]:
    """Yield the tokens of the report's source; raises ConfigError where the text is not JSON."""
    text = report.source.text
    if not text.strip():
        return
    refused = _judged(text)
    if refused is not None:
        raise report.refusal(*refused)
    decoder = json.JSONDecoder()
    at = 0
    while token := _TOKEN.search(text, at):
        at = token.end()
        sign = token[0]
        if sign in "{[":
            yield Opening(token.start(), is_map=sign == "{")
        elif sign in "}]":
            yield Closing(at)
        elif sign == '"':
            value, at = decoder.raw_decode(text, token.start())
            yield Leaf(ScalarNode(Span(token.start(), at), value, plain=False, value=value))
        else:
            yield Leaf(ScalarNode(Span(token.start(), at), sign, plain=True, value=resolve(sign)))


def _judged(text: str) -> tuple[Span, Fault] | None:
    """Return what is wrong with the text, if it is not JSON."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        said = error.msg[0].lower() + error.msg[1:]
        return Span(error.pos, error.pos + 1), Fault("syntax", f"the text is not JSON: {said}")
    except RecursionError:
        return START, Fault("too-large", "the config nests deeper than any config needs to")
    except _ConstantError as error:
        return START, Fault("syntax", f"the text is not JSON: {error} is not a number of JSON")
    return None


class _ConstantError(ValueError):
    """Python reads NaN and Infinity, JSON does not."""


def _no_constant(name: str) -> object:
    raise _ConstantError(name)
