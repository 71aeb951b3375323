"""Functions named in a config, and how to apply them to batches."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType, TracebackType
from typing import Generic, TypeVar

from typing_extensions import override

from headrace.errors import HeadraceError
from headrace.expressions import Expression
from headrace.pipeline.message import Message
from headrace.stages.errors import BadEvent
from headrace.values import key_of

SHAPE = "a function is written module:function, as in examples.shop:price"

Function = Callable[..., object]


class FunctionError(HeadraceError):
    """A function that cannot be used. `why` is a sentence, `suggestion` the corrected name, or None.

    `column` counts from 1 and points at the part of the name that is wrong.
    """

    def __init__(self, why: str, column: int = 1, suggestion: str | None = None) -> None:
        self.why = why
        self.column = column
        self.suggestion = suggestion
        super().__init__(f"{why}; did you mean {suggestion!r}?" if suggestion else why)


@dataclass(frozen=True, slots=True)
class FunctionName:
    """A module and the dotted path of a callable in it."""

    module: str
    path: str

    @override
    def __str__(self) -> str:
        return f"{self.module}:{self.path}"


@dataclass(frozen=True, slots=True)
class LazyFunction:
    """A function that is imported when it is first called, for a config that is checked without imports."""

    name: FunctionName

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Import the function and call it; raises FunctionError when it cannot be imported."""
        return import_function(self.name)(*args, **kwargs)


def parse_function(text: str) -> FunctionName:
    """Return the parts of `module:function` without an import. Raises FunctionError for another shape.

    >>> parse_function("examples.shop:price")
    FunctionName(module='examples.shop', path='price')
    """
    module, colon, path = text.partition(":")
    if colon and _is_dotted(module) and _is_dotted(path):
        return FunctionName(module, path)
    suggestion = ":".join(text.rsplit(".", 1)) if _is_dotted(text) and "." in text else None
    raise FunctionError(SHAPE, suggestion=suggestion)


def import_function(name: FunctionName) -> Function:
    """Return the function. Raises FunctionError when it or its module does not exist, or the module fails."""
    try:
        return _inside(importlib.import_module(name.module), name)
    except FunctionError as error:
        failure = error.with_traceback(None)
    except ModuleNotFoundError as error:
        failure = _not_found(name, error)
    except SyntaxError as error:
        failure = FunctionError(f"{error.filename}, line {error.lineno}, is not Python: {error.msg}")
    except ImportError as error:
        failure = FunctionError(f"the module {name.module} cannot be imported: {error.msg}{_where(name.module, error)}")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an imported module can raise anything
        failure = FunctionError(f"the module {name.module} raises {type(error).__name__}{_where(name.module, error)}")
    raise failure


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _inside(holder: object, name: FunctionName) -> Function:
    column = len(name.module) + 2
    done: list[str] = []
    for part in name.path.split("."):
        if not hasattr(holder, part):
            owner = ".".join([f"module {name.module}", *done])
            close = get_close_matches(part, _callables(holder), n=1)
            suggestion = f"{name.module}:{'.'.join([*done, close[0]])}" if close else None
            why = f"there is no {part!r} in {owner}"
            raise FunctionError(why, column, suggestion)
        holder = getattr(holder, part)
        done.append(part)
        column += len(part) + 1
    if not callable(holder):
        why = f"{name} is neither a function nor a class, but of type {type(holder).__name__}"
        raise FunctionError(why, len(name.module) + 2)
    function: Function = holder
    return function


def _callables(holder: object) -> list[str]:
    return [name for name in dir(holder) if not name.startswith("_") and callable(getattr(holder, name, None))]


def _not_found(name: FunctionName, error: ModuleNotFoundError) -> FunctionError:
    """Return the error for a missing module, or for a module that imports a missing one."""
    missing = error.name or ""
    if name.module != missing and not name.module.startswith(f"{missing}."):
        where = _where(name.module, error)
        return FunctionError(f"the module {name.module} imports {missing!r}{where}, and there is no such module")
    parent, _, last = missing.rpartition(".")
    close = get_close_matches(last, _siblings(parent), n=1)
    found = ".".join(filter(None, [parent, close[0]])) if close else ""
    suggestion = f"{found}{str(name).removeprefix(missing)}" if found else None
    return FunctionError(
        f"there is no module {missing!r} beside the config, in python_path or installed", 1, suggestion
    )


def _siblings(parent: str) -> Iterable[str]:
    """Return the modules of a package, or the top-level modules."""
    package: ModuleType | None = importlib.import_module(parent) if parent else None
    path = getattr(package, "__path__", []) if package else None
    return [module.name for module in pkgutil.iter_modules(path)]


def _where(module: str, error: BaseException) -> str:
    """Return the failed line of the module, as the end of a sentence."""
    found = ""
    step: TracebackType | None = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        name = frame.f_globals.get("__name__")
        if name == module or (isinstance(name, str) and module.startswith(f"{name}.")):
            found = f" in {frame.f_code.co_filename}, line {step.tb_lineno}"
        step = step.tb_next
    return found


T = TypeVar("T")

Fail = Callable[[int, BaseException], None]
"""Called for each failed event with its position in the batch and its error."""


def apply_to_events(function: Callable[[object], T], events: list[object], fail: Fail) -> list[T]:
    """Return the results of `function` in order, without failed events.

    No event is tried twice: one iterator runs through the batch, and continues after a failed event.
    """
    outputs: list[T] = []
    rest = iter(events)
    failed = 0
    while True:
        try:
            outputs.extend(map(function, rest))
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            fail(len(outputs) + failed, error)
        else:
            if len(outputs) + failed == len(events):
                return outputs
            why = "the function raised StopIteration, which ends a loop and is no result for an event"
            fail(len(outputs) + failed, BadEvent(why))
        failed += 1


def evaluate_events(expression: Expression, events: list[object], fail: Fail) -> list[object]:
    """Like `apply_to_events`, but faster: the batch is evaluated in one step if no event fails."""
    try:
        return expression.column(events)
    except Exception:  # noqa: BLE001 - the events are read one by one then, and only those that raise again fail
        return apply_to_events(expression, events, fail)


async def await_events(function: Callable[[object], object], events: list[object], fail: Fail) -> list[object]:
    """Like `apply_to_events`, but await each awaitable result before the next event."""
    outputs: list[object] = []
    for position, event in enumerate(events):
        try:
            output = function(event)
            outputs.append(await output if inspect.isawaitable(output) else output)
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            fail(position, error)
    return outputs


def apply_each(
    function: Callable[[object], Sequence[T]], events: list[object], fail: Fail
) -> tuple[list[Sequence[T]], int]:
    """Return the new events of each event, none for a failed one; and how many failed."""
    made: list[Sequence[T]] = []
    failed = 0
    for position, event in enumerate(events):
        try:
            made.append(function(event))
        except Exception as error:  # noqa: BLE001 - it fails this event alone
            fail(position, error)
            failed += 1
            made.append(())
    return made, failed


FailEvent = Callable[[object, BaseException], None]
"""Called for each failed event or message with its error."""


def data_of(event: object) -> object:
    """Return the data of a message, or the event itself."""
    return event.data if isinstance(event, Message) else event


def derived(event: object, data: object) -> object:
    """Return `data` as derived from an event: for a message, a message."""
    return event.derive(data) if isinstance(event, Message) else data


class Each(Generic[T]):
    """Iterates over the results of a function for the events of a batch, in order, without failed events."""

    def __init__(self, function: Callable[[object], T], events: Sequence[object], fail: FailEvent) -> None:
        self.events: list[object] = []
        self.outputs: list[T] = []
        for event in events:
            try:
                output = function(data_of(event))
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                fail(event, error)
            else:
                self.events.append(event)
                self.outputs.append(output)


def gathered(events: Sequence[object], data: object) -> object:
    """Return `data` as derived from all `events` (at least one): for messages, a message."""
    first, *others = events
    if not isinstance(first, Message):
        return data
    return first.derive(data, *(other for other in others if isinstance(other, Message)))


def hashable(key: object) -> Hashable:
    """Return a hashable key of a value; `value_of` is its inverse. Raises `BadEvent`."""
    try:
        return key_of(key)
    except (TypeError, RecursionError):
        why = f"a key is text, a number, a list, a dict or the like, and this one is of type {type(key).__name__}"
        raise BadEvent(why) from None
