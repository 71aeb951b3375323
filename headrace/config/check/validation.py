"""Checks a node against a pydantic model; each problem has its location."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headrace.config.text import messages as sentences
from headrace.config.text.findings import Problem, Report, TextSpan
from headrace.config.text.messages import Redacted
from headrace.config.text.tree import (
    ListNode,
    LocatedNode,
    MapNode,
    Path,
    PathStep,
    ScalarNode,
    TreeNode,
    as_written,
    child,
    point,
    scalars,
    values,
)
from headrace.errors.validation import KINDS
from headrace.expressions.patterns import Regex

_LONGEST = 12  # steps; our models are about four deep, and each step may double the work


@dataclass(frozen=True, slots=True)
class Located:
    """A place in the tree, the path to it, and the branches of unions on the way."""

    found: LocatedNode
    path: Path = ()
    branches: tuple[tuple[Path, str], ...] = ()
    """The names of the branches, each with the path of its union."""


def locate(root: LocatedNode, loc: Sequence[PathStep]) -> Located:
    """Return the place that fits a loc best: with its last step, and then with as many other steps as possible."""
    return _best(Located(root), tuple(loc[:_LONGEST]))[1]


def owner(root: LocatedNode, loc: Sequence[PathStep]) -> Located:
    """Return the mapping that lacks the key at the end of `loc`."""
    located = locate(root, loc[:-1])
    while located.path and not isinstance(located.found.node, MapNode):
        located = locate(root, located.path[:-1])
    return located


def _best(here: Located, rest: Path) -> tuple[tuple[bool, int], Located]:
    if not rest:
        return (False, len(here.path)), here
    step, rest = rest[0], rest[1:]
    branch = ((here.path, step),) if isinstance(step, str) else ()
    (was_last, count), best = _best(Located(here.found, here.path, here.branches + branch), rest)
    below = child(here.found, step)
    if below is not None:
        taken = _best(Located(below, (*here.path, step), here.branches), rest)
        score = (taken[0][0] or not rest, taken[0][1])
        if score >= (was_last, count):
            return score, taken[1]
    return (was_last, count), best


def label(path: Path) -> str:
    """Return the name of a place in a sentence: `metrics[0].buckets`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


Model = type[BaseModel]


def keys_of(model: Model) -> tuple[str, ...]:
    """Return the keys of one model as they are written in a file."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def keys_at(model: Model, loc: Sequence[PathStep]) -> tuple[str, ...]:
    """Return the keys that are known at `loc`, of all models that may stand there."""
    models = [model]
    for step in loc:
        models = list(_below(models, step))
    return tuple(dict.fromkeys(key for one in models for key in keys_of(one)))


def _below(models: Sequence[Model], step: PathStep) -> Iterator[Model]:
    """Go one step down, into a key's models or into the branch of a union; stay at any other step."""
    fields = [field for model in models for name, field in model.model_fields.items() if step == (field.alias or name)]
    if fields:
        for field in fields:
            yield from _models(field.annotation)
    else:
        named = [model for model in models if model.__name__ == step]
        yield from named or models


def _models(annotation: object) -> Iterator[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


M = TypeVar("M", bound=BaseModel)

_COMMA = "a comma ends a value inside brackets: put the whole expression in quotes"
_AS_TEXT = frozenset({"string_type", "path_type"})


@dataclass(frozen=True, slots=True)
class Subject:
    """A mapping to check: its location, its name in a sentence, and the keys that other models read from it."""

    found: LocatedNode
    called: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _LocatedError:
    detail: ErrorDetails
    located: Located


def validate(model: type[M], subject: Subject, report: Report, *, imports: bool, regex: Regex = "re2") -> M | None:
    """Return the model's object; None after every error went to `report`.

    Where the model asks for text and a variable gave digits, the digits are the text. Without `imports` nothing
    that the config names is imported. `regex` runs the patterns of expressions.
    """
    context = {"import": imports, "regex": regex}
    given = values(subject.found.node)
    result = _attempt(model, given, context)
    if isinstance(result, list) and _put_texts(given, result, subject.found):
        result = _attempt(model, given, context)
    if not isinstance(result, list):
        return result
    located_errors = [_LocatedError(detail, _located(detail, subject.found)) for detail in result]
    for span, problem in _ErrorMapper(model, subject, report).problems(_one_branch(located_errors)):
        report.add(span, problem)
    return None


def _attempt(model: type[M], given: object, context: Mapping[str, object]) -> M | list[ErrorDetails]:
    try:
        return model.model_validate(given, context=context)
    except ValidationError as error:
        return error.errors(include_url=False, include_input=False)


def _put_texts(given: object, details: Iterable[ErrorDetails], root: LocatedNode) -> bool:
    """Put the text of a variable where it was read as something else; return whether any was put."""
    done = False
    for detail in details:
        located = locate(root, detail["loc"])
        node = located.found.node
        if detail["type"] in _AS_TEXT and isinstance(node, ScalarNode) and node.filled and located.path:
            holder = given
            for step in located.path[:-1]:
                holder = cast("dict[PathStep, object]", holder)[step]
            cast("dict[PathStep, object]", holder)[located.path[-1]] = node.text
            done = True
    return done


def _located(detail: ErrorDetails, root: LocatedNode) -> Located:
    located = owner(root, detail["loc"]) if detail["type"] == "missing" else locate(root, detail["loc"])
    found, path = located.found, located.path
    for step in _further(detail):
        below = child(found, step)
        if below is None:
            break
        found, path = below, (*path, step)
    return Located(found, path, located.branches)


def _further(detail: ErrorDetails) -> Sequence[PathStep]:
    """Return the steps from an error's loc to the place that it is about."""
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_invalid":
        return (str(context["discriminator"]).strip("'"),)
    path: Sequence[PathStep] = context.get("path", ())
    return path


def _missing_tag(detail: ErrorDetails) -> str:
    """Return the key that tells a union's branches apart, if that key is missing."""
    tag = str(detail.get("ctx", {}).get("discriminator", "")) if detail["type"] == "union_tag_not_found" else ""
    return tag.strip("'") if tag.startswith("'") else ""


def _one_branch(located_errors: list[_LocatedError]) -> list[_LocatedError]:
    """Where a value fits no branch of a union, keep the errors of the branch that fits best; all if none does."""
    locations = dict.fromkeys(path for located_error in located_errors for path, _ in located_error.located.branches)
    for path in locations:
        branches: dict[str, list[_LocatedError]] = {}
        for located_error in located_errors:
            for at, name in located_error.located.branches:
                if at == path:
                    branches.setdefault(name, []).append(located_error)
        near = [found for found in branches.values() if not _is_kind_alone(found, path)]
        if len(branches) > 1 and near:
            best = min(near, key=len)
            dropped = {id(one) for found in branches.values() if found is not best for one in found}
            located_errors = [located_error for located_error in located_errors if id(located_error) not in dropped]
    return located_errors


def _is_kind_alone(located_errors: list[_LocatedError], path: Path) -> bool:
    return all(
        located_error.detail["type"] in KINDS and located_error.located.path == path for located_error in located_errors
    )


class _ErrorMapper:
    """Turns located errors into problems."""

    def __init__(self, model: type[BaseModel], subject: Subject, report: Report) -> None:
        self.model = model
        self.subject = subject
        self.source = report.source

    def problems(self, located_errors: Iterable[_LocatedError]) -> Iterator[tuple[TextSpan, Problem]]:
        kinds: dict[Path, list[_LocatedError]] = {}
        for located_error in located_errors:
            if located_error.detail["type"] in KINDS:
                kinds.setdefault(located_error.located.path, []).append(located_error)
            elif located_error.detail["type"] == "missing":
                yield self._missing(located_error)
            elif located_error.detail["type"] == "extra_forbidden":
                yield self._unknown(located_error)
            elif tag := _missing_tag(located_error.detail):
                where = self._called(located_error.located.path)
                yield located_error.located.found.name, sentences.missing_key(tag, where)
            elif not _is_refused(located_error.located.found.node):
                yield self._other(located_error)
        for same in kinds.values():
            located = same[0].located
            if not _is_refused(located.found.node):
                yield (
                    _span(located.found),
                    sentences.kind_problem([one.detail for one in same], self._redacted(located)),
                )

    def _missing(self, located_error: _LocatedError) -> tuple[TextSpan, Problem]:
        located = located_error.located
        return located.found.name, sentences.missing_key(
            str(located_error.detail["loc"][-1]), self._called(located.path)
        )

    def _unknown(self, located_error: _LocatedError) -> tuple[TextSpan, Problem]:
        loc, located = located_error.detail["loc"], located_error.located
        others = () if located.path[1:] else self.subject.others
        known = (*others, *keys_at(self.model, loc[:-1]))
        return located.found.name, sentences.unknown_key(str(loc[-1]), self._called(located.path[:-1]), known)

    def _called(self, path: Path) -> str:
        return f"`{label(path)}`" if path else self.subject.called

    def _other(self, located_error: _LocatedError) -> tuple[TextSpan, Problem]:
        detail, found = located_error.detail, located_error.located.found
        context = detail.get("ctx", {})
        problem = sentences.problem_of(detail, self._redacted(located_error.located))
        if problem.code == "bad-expression" and self._ends_at_comma(found.node):
            return _span(found), replace(problem, message=_COMMA)
        if detail["loc"][-1:] == ("[key]",):
            return found.name, problem
        column = context.get("column")
        if isinstance(column, int) and isinstance(found.node, ScalarNode):
            return point(found.node, self.source.text, column - 1), problem
        return _span(found), problem

    def _ends_at_comma(self, node: TreeNode) -> bool:
        """Return whether YAML has ended an unquoted value at a comma inside a parenthesis."""
        if not (isinstance(node, ScalarNode) and node.plain and node.text.count("(") > node.text.count(")")):
            return False
        return self.source.text[node.span.end :].lstrip().startswith(",")

    def _redacted(self, located: Located) -> Redacted:
        """Return the text of a value with the values of variables redacted."""
        node = located.found.node
        if isinstance(node, MapNode | ListNode):
            written = "a mapping" if isinstance(node, MapNode) else "a list"
        else:
            written = as_written(node, self.source)
        is_filled = isinstance(node, ScalarNode) and node.filled
        secrets = tuple(scalar.text for scalar in scalars(self.subject.found.node) if scalar.filled)
        return Redacted(label(located.path), written, is_filled, secrets)


def _span(found: LocatedNode) -> TextSpan:
    """Return the span of a value; that of its key where the value is empty, a mapping or a list."""
    node = found.node
    return node.span if isinstance(node, ScalarNode) and node.text else found.name


def _is_refused(node: TreeNode) -> bool:
    return any(scalar.refused for scalar in scalars(node))


T = TypeVar("T")


def typed_values(value: object, kind: type[T], path: Path = ()) -> Iterator[tuple[Path, T]]:
    """Yield every value of that class in a model, with the path of keys in the file."""
    if isinstance(value, kind):
        yield path, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from typed_values(getattr(value, name), kind, (*path, field.alias or name))
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from typed_values(below, kind, (*path, key))
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            yield from typed_values(below, kind, (*path, index))
